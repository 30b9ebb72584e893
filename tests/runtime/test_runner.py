import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from mmdet_metaanchor.method import meta_head
from mmdet_metaanchor.runtime.command_line import skip_non_finite_steps
from mmdet_metaanchor.runtime.runner import (
    M_MMAP_THRESHOLD,
    M_TOP_PAD,
    M_TRIM_THRESHOLD,
    build_runner,
    keep_freed_memory,
)


@pytest.fixture
def _as_before(monkeypatch):
    """MMEngine turns the deterministic mode on, and not off again."""
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    yield
    torch.use_deterministic_algorithms(False)


def test_two_trainings_are_equal_to_the_bit(tiny, _as_before):
    """In the deterministic mode, with jitter, as tools/train.py makes them."""
    tiny.randomness = dict(seed=3, deterministic=True)
    tiny.model.bbox_head.anchor_generator.jitter = 0.5
    skip_non_finite_steps(tiny)
    name, states = tiny.experiment_name, []
    for run in ('first', 'second'):
        tiny.visualizer.name = tiny.experiment_name = f'{name}-{run}'
        runner = build_runner(tiny)
        before = runner.model.bbox_head.retina_cls.shared.weight.clone()
        runner.train()
        states.append(runner.model.state_dict())
    # On a GPU, an older PyTorch asks for it.
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8'
    assert not torch.equal(
        states[0]['bbox_head.retina_cls.shared.weight'], before
    )
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_a_head_knows_how_much_of_a_training_is_over(tiny, monkeypatch):
    """Which decides by how much the jitter falls."""
    progress, seen = meta_head._progress, []
    monkeypatch.setattr(
        meta_head, '_progress', lambda: seen.append(progress()) or seen[-1]
    )
    build_runner(tiny).train()
    # One epoch of 4 images in batches of 2; none and a half is over.
    assert seen == [0, 0.5]


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
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.runner.get_device', lambda: 'cpu'
    )
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
from mmdet_metaanchor.runtime.runner import keep_freed_memory
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
