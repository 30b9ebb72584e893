"""What is said of a grid at work."""

import os

import pytest
import torch

from benchmarks.quality.processes import POSITION, Processes
from benchmarks.quality.progress import Progress


def make_record(score):
    return dict(tests={'near, trained': dict(metrics=dict(mAP=score))})


def test_a_run_that_ends_and_an_estimate(capsys):
    """Of 6 runs 2 are left after 60 and 120 s, side by side: 90 s."""
    with Progress(total=6, done=2, side_by_side=2) as progress:
        progress.done('a, seed 0', make_record(0.123), 60.0)
        progress.done('a, seed 1', make_record(0.456), 120.0)
        recall = dict(metrics={'AR@100': 0.5, 'AR@300': 0.6})
        progress.done('rpn, seed 0', dict(tests=dict(a=recall)), 120.0)
    text = capsys.readouterr().out
    assert '2 of 6 runs are done' in text
    assert '[3/6] a, seed 0: 12.3 mAP, 1.0 min; about 2 min left' in text
    assert '[4/6] a, seed 1: 45.6 mAP, 2.0 min; about 2 min left' in text
    assert '[5/6] rpn, seed 0: 50.0 AR@100, 2.0 min' in text


def test_a_run_that_fails(capsys):
    with Progress(total=2, done=0, side_by_side=1) as progress:
        progress.failed('a, seed 0', 'out of [memory]')
    assert 'failed: a, seed 0: out of [memory]' in capsys.readouterr().out


def test_how_far_a_training_is():
    line = (
        '11/24 08:25:24 - mmengine - INFO - Epoch(train) [3][100/200]  '
        'lr: 1.0031e-03  eta: 0:00:54  time: 0.1208  loss: 0.6320'
    )
    assert POSITION.search(line)[0] == (
        'Epoch(train) [3][100/200]  lr: 1.0031e-03  eta: 0:00:54'
    )
    longer = line.replace('0:00:54', '1 day, 2:03:04')
    assert POSITION.search(longer)[0].endswith('eta: 1 day, 2:03:04')
    assert POSITION.search(line.replace('train', 'val')) is None


@pytest.mark.parametrize(
    ('visible', 'chosen'), [(None, ['0', '1', '0']), ('5,3', ['5', '3', '5'])]
)
def test_a_gpu_for_every_process(monkeypatch, visible, chosen):
    """Those with the fewest processes come first."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    env = {} if visible is None else dict(CUDA_VISIBLE_DEVICES=visible)
    processes = Processes(3, gpus=1, lock=0)
    for name in chosen:
        gpu = processes._choose_gpu(env)
        assert gpu == name
        processes._running[object()] = gpu
    assert Processes(1, gpus=8, lock=0)._choose_gpu(env) is None


def test_cores_are_shared(monkeypatch):
    """6 cores, 2 runs of 1 or of 8 processes: 3 threads, or one at least."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(
        'benchmarks.quality.processes.describe_machine',
        lambda: dict(cores=6),
    )
    for gpus, threads in ((1, '3'), (8, '1')):
        settings = Processes(2, gpus, lock=0)._settings(dict(os.environ))
        assert settings['OMP_NUM_THREADS'] == threads
