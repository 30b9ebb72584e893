from pickle import UnpicklingError
from urllib.error import HTTPError

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.optim import OneCycleLR
from mmengine.runner.checkpoint import CheckpointLoader
from torch.nn import DataParallel
from torch.serialization import get_safe_globals, safe_globals

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.runtime.allowed_names import names_of_mmengine
from mmdet_metaanchor.runtime.checkpoints import (
    load_detector,
    load_strictly,
    read_checkpoint,
)
from mmdet_metaanchor.runtime.runner import build_runner


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_checkpoints_of_mmengine_load_with_weights_only(tmp_path, core):
    """Of NumPy 1 and of NumPy 2."""
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
    with safe_globals(names_of_mmengine()):
        loaded = torch.load(file, weights_only=True)['message_hub']
    values, counts = loaded['log_scalars']['train/loss'].data
    assert (values.tolist(), counts.tolist()) == ([1.5], [2])
    assert loaded['runtime_info']['best'] == 0.25


def test_names_are_allowed_while_mmengine_loads_and_no_longer(tmp_path):
    hub = MessageHub(tmp_path.name)
    hub.update_scalar('train/loss', 1.5)
    file = tmp_path / 'checkpoint.pth'
    torch.save(hub.state_dict(), file)
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(str(file))
        assert loaded['log_scalars']['train/loss'].current() == 1.5
        with pytest.raises(UnpicklingError, match='HistoryBuffer|getattr'):
            torch.load(file, weights_only=True)
    assert not set(names_of_mmengine()) & set(get_safe_globals())


def test_other_classes_stay_closed(tmp_path):
    class Evil:
        def __reduce__(self):
            return getattr, (torch.Tensor, 'numpy')

    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(evil=Evil()), file)
    with (
        safe_globals(names_of_mmengine()),
        pytest.raises(UnpicklingError, match='Tensor'),
    ):
        torch.load(file, weights_only=True)


@pytest.mark.parametrize('anneal', ['cos', 'linear'])
def test_one_cycle_and_nested_metainfo(tmp_path, anneal):
    """MMEngine's OneCycleLR keeps a function in its state."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = OneCycleLR(
        optimizer, eta_max=1.0, total_steps=9, anneal_strategy=anneal
    )
    meta = Config(dict(metainfo=dict(source=dict(year=2012)))).metainfo
    file = str(tmp_path / 'checkpoint.pth')
    content = dict(
        state_dict={}, param_schedulers=[schedule.state_dict()], meta=meta
    )
    torch.save(content, file)
    read = read_checkpoint(file)
    assert read['meta'] == dict(source=dict(year=2012))
    (state,) = read['param_schedulers']
    assert state['anneal_func'](0.0, 1.0, 0.5) == 0.5


def test_what_is_refused_is_named(tmp_path):
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(state_dict={}, path=tmp_path), file)
    with pytest.raises(ValueError, match=r'numbers \(pathlib\.PosixPath\)'):
        read_checkpoint(str(file))


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
    content = CheckpointLoader.load_checkpoint(str(file))
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


def test_augmented_test_in_several_processes(tiny, checkpoint):
    """There a model wrapper is around the one that merges predictions."""
    tiny.model = dict(type='DetTTAModel', module=tiny.model)
    runner = build_runner(tiny)
    runner.model = DataParallel(runner.model)
    load_strictly(runner, checkpoint)
    expected = torch.load(checkpoint, weights_only=False)['state_dict']
    for key, value in runner.model.module.module.state_dict().items():
        torch.testing.assert_close(
            value, expected[key], rtol=0, atol=0, equal_nan=True
        )


@pytest.fixture
def download(monkeypatch, checkpoint):
    """Stands in for the network, which has one checkpoint."""

    def load_url(url, **kwargs):
        if url != 'https://host/tiny.pth':
            raise HTTPError(url, 404, 'Not Found', None, None)
        return torch.load(checkpoint)

    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.checkpoints.load_state_dict_from_url',
        load_url,
    )


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


@pytest.mark.parametrize(
    ('meta', 'expected'),
    [
        (dict(CLASSES=('one', 'two')), dict(classes=('one', 'two'))),
        (
            dict(dataset_meta=dict(CLASSES=('one',))),
            dict(classes=('one',)),
        ),
        # Of data sets side by side that differ in something else.
        (
            dict(dataset_meta=[dict(classes=('one',)), dict(classes=('a',))]),
            dict(classes=('one',)),
        ),
        (dict(dataset_meta=dict()), dict(classes=['odd', 'even'])),
        ({}, dict(classes=['odd', 'even'])),
    ],
    ids=['MMDetection 2', 'MMDetection 3.0', 'several', 'of nothing', 'none'],
)
def test_classes_of_other_checkpoints(
    tiny, checkpoint, tmp_path, meta, expected
):
    """Where they name none, those of the config."""
    content = dict(torch.load(checkpoint), meta=meta)
    torch.save(content, tmp_path / 'other.pth')
    (tmp_path / 'classes.txt').write_text('odd\neven\n')
    named = dict(classes=str(tmp_path / 'classes.txt'))
    dataset = dict(tiny.test_dataloader.dataset, metainfo=named)
    wrapped = dict(type='RepeatDataset', times=1, dataset=dataset)
    tiny.test_dataloader.dataset = wrapped
    _, found = load_detector(tiny, str(tmp_path / 'other.pth'))
    assert found == dict(dataset_meta=expected)


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
