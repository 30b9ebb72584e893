"""What the tools share, without starting one."""

import platform
import subprocess
import sys
from pickle import UnpicklingError

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmdet_metaanchor.launch import (
    allow_checkpoint_classes,
    one_line_errors,
    use_amp,
)
from mmdet_metaanchor.speed.timing import compare_speed, summarise


def test_checkpoints_of_mmengine_load_with_weights_only(tmp_path):
    history = HistoryBuffer()
    history.update(1.5, 2)
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(message_hub=dict(log_scalars={'loss': history})), file)
    allow_checkpoint_classes()
    loaded = torch.load(file, weights_only=True)
    restored = loaded['message_hub']['log_scalars']['loss']
    assert restored.data[0].tolist() == [1.5]
    assert restored.data[1].tolist() == [2]


def test_other_classes_stay_closed(tmp_path):
    class Evil:
        def __reduce__(self):
            return getattr, (torch.Tensor, 'numpy')

    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(evil=Evil()), file)
    allow_checkpoint_classes()
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
