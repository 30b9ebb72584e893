"""Autocast and scaled gradients: the generators stay in single precision."""

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_metaanchor.anchors.customize import find_heads

CONFIGS = [
    'digits/meta-retinanet_r18-w32_digits.py',
    'meta_ssd/meta-ssd_r18-w32_digits.py',
    'meta_yolov3/meta-yolov3_r18-w32_digits.py',
    # RoIAlign of MMCV, in the second stage, has no half precision on a CPU.
    'meta_faster_rcnn/meta-rpn_r18-w32_digits.py',
]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('config', CONFIGS)
def test_a_step_is_finite(load_config, data_samples, config, dtype):
    cfg = load_config(config)
    model = MODELS.build(cfg.model)
    model.init_weights()
    # Maps of one cell, of smaller images, have NaN gradients in bfloat16 on a
    # CPU now and then, in stock detectors as well.
    size = (128, 128)
    for sample in data_samples:
        sample.set_metainfo(
            dict(img_shape=size, ori_shape=size, batch_input_shape=size)
        )
    seen = []
    for head in find_heads(model):
        head.prior_generator.jitter = 0.5
        for part in head.anchor_functions().values():
            generate = part._hidden

            def noted(*args, generate=generate):
                seen.append(generate(*args))
                return seen[-1]

            part._hidden = noted
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0**10)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with torch.autocast('cpu', dtype):
        losses = model.loss(torch.randn(2, 3, *size), data_samples)
        total, log = model.parse_losses(losses)
    scaler.scale(total).backward()
    scaler.unscale_(optimizer)
    assert all(value.isfinite().all() for value in log.values())
    for param in model.parameters():
        assert param.dtype == torch.float32
        assert param.grad is None or param.grad.isfinite().all()
    before = [param.detach().clone() for param in model.parameters()]
    scaler.step(optimizer)
    assert any(
        not torch.equal(one, other)
        for one, other in zip(before, model.parameters(), strict=True)
    )
    assert seen
    assert {hidden.dtype for hidden in seen} == {torch.float32}
