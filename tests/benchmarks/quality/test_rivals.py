"""The parts of rival detectors that a CPU needs otherwise."""

from pathlib import Path

import pytest
import torch
from mmcv.ops import DeformConv2d
from mmdet.registry import MODELS
from mmengine.config import Config

from benchmarks.quality.evaluate import _measure
from benchmarks.quality.rivals import _Sampled
from mmdet_metaanchor.runtime.runner import build_runner

CONFIGS = Path(__file__).resolve().parents[3] / 'benchmarks' / 'configs'


@pytest.mark.parametrize('size', [(5, 7), (3, 2), (1, 4)])
def test_sampling_equals_the_deformable_convolution(size):
    """Its outputs, and the gradients of all that it is given."""
    torch.manual_seed(0)
    conv = DeformConv2d(8, 6, 3, padding=1, deform_groups=4).double()
    inputs = [
        torch.randn(2, 8, *size, dtype=torch.double, requires_grad=True),
        # 4 groups of 9 places, y and x; far enough to leave the map.
        2 * torch.randn(2, 72, *size, dtype=torch.double),
    ]
    inputs[1].requires_grad_()
    wrt = (*inputs, conv.weight)
    outputs = conv(*inputs)
    weights = torch.randn_like(outputs)
    gradients = torch.autograd.grad((outputs * weights).sum(), wrt)
    conv.float().__class__ = _Sampled
    sampled = conv(*(tensor.float() for tensor in inputs))
    torch.testing.assert_close(sampled, outputs.float())
    wrt = (*inputs, conv.weight)
    ours = torch.autograd.grad((sampled * weights.float()).sum(), wrt)
    for gradient, expected in zip(ours, gradients, strict=True):
        torch.testing.assert_close(
            gradient.float(), expected.float(), rtol=1e-4, atol=1e-4
        )


@pytest.fixture
def read_rival(tiny_data, monkeypatch):
    """The config of a rival, of the tiny data."""
    monkeypatch.setenv('DATA_ROOT', str(tiny_data))
    return lambda name: Config.fromfile(
        CONFIGS / f'{name}_mobilenet-v2_custom.py'
    )


@pytest.mark.parametrize('name', ['fcos', 'atss', 'ga-retinanet'])
def test_a_rival_is_measured_as_ours(name, read_rival, tmp_path):
    """Its test has the same entries; all have one prior per cell."""
    cfg = read_rival(name)
    cfg.launcher, cfg.work_dir = 'none', str(tmp_path)
    cfg.model.backbone.init_cfg = None
    measured = _measure(build_runner(cfg))
    assert (measured['images'], measured['per_cell']) == (4, 1)
    assert 0 <= measured['metrics']['mAP'] <= 1


def test_guided_anchors_are_not_rounded(read_rival):
    """At 100 px, bfloat16 would be up to 0.25 px off."""
    head = MODELS.build(read_rival('ga-retinanet').model).bbox_head
    levels = [torch.zeros(1, 64, 2**i, 2**i) for i in range(5)]
    with torch.autocast('cpu', torch.bfloat16):
        outputs = head(levels)
    kinds = {part.dtype for level in outputs for part in level}
    assert kinds == {torch.float32}


def test_centres_of_objects_are_learnt_as_places(read_rival):
    """A higher logit there lowers the loss; elsewhere it raises it."""
    head = MODELS.build(read_rival('ga-retinanet').model).bbox_head
    centres = torch.zeros(1, 1, 4, 4)
    centres[..., 1, 2] = 1
    logits = torch.zeros_like(centres, requires_grad=True)
    loss = head.loss_loc_single(
        logits, centres, torch.ones_like(centres), avg_factor=1.0
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[..., 1, 2] < 0
    assert (gradient[centres == 0] > 0).all()
