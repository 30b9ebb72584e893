"""What the tools share, without starting one."""

import platform
import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace
from urllib.error import HTTPError

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.launch import (
    M_MMAP_THRESHOLD,
    M_TOP_PAD,
    M_TRIM_THRESHOLD,
    build_runner,
    keep_freed_memory,
    load_detector,
    load_strictly,
    one_line_errors,
    use_amp,
)
from mmdet_metaanchor.speed.timing import (
    WARM_UP,
    alternate,
    compare_speed,
    summarise,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tiny(load_config, tiny_config, tmp_path):
    """Config of a small MetaAnchor model on four images, one epoch."""
    config = ROOT / 'configs/custom/meta-retinanet_r18-w32_custom.py'
    file = tmp_path / 'tiny.py'
    file.write_text(tiny_config(config=config))
    cfg = load_config(file)
    cfg.launcher, cfg.work_dir = 'none', str(tmp_path)
    # To MMEngine, those of one name are one.
    cfg.visualizer.name = cfg.experiment_name = tmp_path.name
    cfg.train_cfg.max_epochs = 1
    cfg.merge_from_dict(
        {
            f'{name}_dataloader.{key}': value
            for name in ('train', 'val', 'test')
            for key, value in dict(
                batch_size=2, num_workers=0, persistent_workers=False
            ).items()
        }
    )
    return cfg


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """One that fits the tiny model, and says what its classes are."""
    file = tmp_path / 'tiny.pth'
    state = MODELS.build(tiny.model).state_dict()
    meta = dict(dataset_meta=dict(classes=('odd', 'even')))
    torch.save(dict(meta=meta, state_dict=state), file)
    return str(file)


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_checkpoints_of_mmengine_load_with_weights_only(tmp_path, core):
    """Of NumPy 1 and of NumPy 2, once the package has been imported."""
    hub = MessageHub(tmp_path.name)
    hub.update_scalar('train/loss', 1.5, 2)
    hub.update_info('best', np.float64(0.25))
    file = tmp_path / 'checkpoint.pth'
    content = dict(message_hub=hub.state_dict())
    # The old format is not compressed, and has no checksums.
    torch.save(content, file, _use_new_zipfile_serialization=False)
    data = file.read_bytes().replace(b'numpy._core', b'numpy.core')
    assert b'numpy.core.multiarray' in data
    file.write_bytes(data.replace(b'numpy.core', core))
    loaded = torch.load(file, weights_only=True)['message_hub']
    values, counts = loaded['log_scalars']['train/loss'].data
    assert (values.tolist(), counts.tolist()) == ([1.5], [2])
    assert loaded['runtime_info']['best'] == 0.25


def test_checkpoints_still_load_after_mmengine_has_loaded_one(tmp_path):
    """MMEngine 0.10.12 removes what it allows for its own loading."""
    hub = MessageHub(tmp_path.name)
    hub.update_scalar('train/loss', 1.5)
    file = tmp_path / 'checkpoint.pth'
    torch.save(hub.state_dict(), file)
    CheckpointLoader.load_checkpoint(str(file))
    loaded = torch.load(file, weights_only=True)
    assert loaded['log_scalars']['train/loss'].current() == 1.5


def test_other_classes_stay_closed(tmp_path):
    class Evil:
        def __reduce__(self):
            return getattr, (torch.Tensor, 'numpy')

    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(evil=Evil()), file)
    with pytest.raises(UnpicklingError, match='Tensor'):
        torch.load(file, weights_only=True)


def test_amp_is_turned_on_where_there_is_an_accelerator(monkeypatch):
    monkeypatch.setattr('mmdet_metaanchor.launch.get_device', lambda: 'cuda')
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_needs_an_accelerator(monkeypatch):
    monkeypatch.setattr('mmdet_metaanchor.launch.get_device', lambda: 'cpu')
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    with pytest.raises(ValueError, match='"cpu"'):
        use_amp(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_errors_of_the_user_are_one_line_and_bugs_are_not():
    with pytest.raises(SystemExit, match='anchors are bad'), one_line_errors():
        raise ValueError('anchors are bad')
    with pytest.raises(ZeroDivisionError), one_line_errors():
        1 / 0  # noqa: B018


def test_summary_of_speeds():
    row = summarise([(1.0, 1.1), (2.0, 2.0), (1.0, 0.5)])
    # ratios 1.1, 1 and 0.5; seconds (1, 1, 2) and (0.5, 1.1, 2)
    assert row == dict(stock=1, ours=1.1, ratio=1, lowest=0.5, highest=1.1)


def test_speeds_are_measured_in_pairs(load_config):
    folder = 'custom/{}retinanet_r18-w32_custom.py'
    configs = [load_config(folder.format(kind)) for kind in ('', 'meta-')]
    for cfg in configs:
        cfg.model.bbox_head.num_classes = 8  # the objects that are timed
    times = compare_speed(*configs, (64, 64), 1, 3, 2, 'cpu')
    assert set(times) == {'inference', 'training step'}
    for pairs in times.values():
        assert len(pairs) == 2
        assert all(seconds > 0 for pair in pairs for seconds in pair)


class WeightsInTests(Hook):
    """Keeps the parameters at the beginning of every test."""

    def __init__(self):
        self.kept = []

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            state = runner.model.state_dict()
            self.kept.append({key: v.clone() for key, v in state.items()})


def test_averaged_weights_are_tested_whatever_the_anchors(tiny, tmp_path):
    tiny.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    build_runner(tiny).train()
    file = tmp_path / 'epoch_1.pth'
    content = torch.load(file)
    name = 'bbox_head.cls_convs.0.conv.weight'
    averaged, last = content['state_dict'], content['ema_state_dict']
    assert not torch.equal(averaged[name], last[f'module.{name}'])
    tiny.visualizer.name = tiny.experiment_name = f'{tmp_path.name}-test'
    runner = build_runner(tiny)
    weights = WeightsInTests()
    runner.register_hook(weights, 'LOWEST')
    load_strictly(runner, str(file))
    runner.test()
    customize_anchors(runner.model, dict(scales=[4], ratios=[1.0]))
    runner.test()
    assert len(weights.kept) == 2
    for state in weights.kept:
        assert state.keys() == averaged.keys()
        for key, value in state.items():
            torch.testing.assert_close(value, averaged[key], rtol=0, atol=0)


@pytest.mark.parametrize('resume', [False, True])
def test_config_loads_nothing_over_a_tested_checkpoint(
    tiny, checkpoint, resume
):
    tiny.load_from, tiny.resume = 'pretrained.pth', resume
    runner = build_runner(tiny)
    load_strictly(runner, checkpoint)
    assert 'coco/bbox_mAP' in runner.test()


@pytest.fixture
def download(monkeypatch, checkpoint):
    """Stands in for the network, which has one checkpoint."""

    def load_url(url, **kwargs):
        if url != 'https://host/tiny.pth':
            raise HTTPError(url, 404, 'Not Found', None, None)
        return torch.load(checkpoint)

    monkeypatch.setattr('mmengine.runner.checkpoint.load_url', load_url)


def test_detector_of_a_url(tiny, checkpoint, download):
    (model, meta), (expected, _) = (
        load_detector(tiny, name)
        for name in ('https://host/tiny.pth', checkpoint)
    )
    assert meta == dict(dataset_meta=dict(classes=('odd', 'even')))
    for value, same in zip(
        model.parameters(), expected.parameters(), strict=True
    ):
        assert torch.equal(value, same)


def test_test_of_a_url(tiny, download):
    runner = build_runner(tiny)
    load_strictly(runner, 'https://host/tiny.pth')
    assert 'coco/bbox_mAP' in runner.test()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('no.pth', 'checkpoint no.pth does not exist'),
        ('https://host/no.pth', 'https://host/no.pth: .* 404'),
    ],
)
def test_missing_checkpoint(tiny, download, name, message):
    with pytest.raises(FileNotFoundError, match=message):
        load_detector(tiny, name)
    with pytest.raises(FileNotFoundError, match=message):
        load_strictly(build_runner(tiny), name)


@pytest.mark.parametrize(
    ('largest', 'threshold'), [(2**63, 2**30), (2**25, 2**25), (0, None)]
)
def test_options_of_memory_are_set_all_or_none(
    monkeypatch, largest, threshold
):
    """With a stand-in for mallopt that refuses larger thresholds."""
    options = {}

    def mallopt(option, size):
        if option == M_MMAP_THRESHOLD and size > largest:
            return 0
        options[option] = size
        return 1

    libc = SimpleNamespace(mallopt=mallopt)
    monkeypatch.setattr('mmdet_metaanchor.launch.get_device', lambda: 'cpu')
    monkeypatch.setattr('ctypes.CDLL', lambda name: libc)
    keep_freed_memory()
    assert options.get(M_MMAP_THRESHOLD) == threshold
    others = {M_TRIM_THRESHOLD, M_TOP_PAD}
    assert others & options.keys() == (others if threshold else set())


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc' or torch.cuda.is_available(),
    reason='needs glibc, and no GPU',
)
def test_freed_memory_is_kept():
    """A block of 64 MB costs its 16 384 pages at most once in five times."""
    script = """
import resource, torch
from mmdet_metaanchor.launch import keep_freed_memory
keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    torch.ones(2**24)
before = faults()
for _ in range(5):
    torch.ones(2**24)
print(faults() - before)
"""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1.1 * 16384


def test_nothing_is_timed_before_both_sides_are_warm():
    called = []
    times = alternate(
        '', [lambda: called.append(0), lambda: called.append(1)], 1, 'cpu'
    )
    assert called == [0, 1] * WARM_UP + [0, 1]
    assert len(times) == 1
