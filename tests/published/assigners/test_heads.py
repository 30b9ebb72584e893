"""The assigners inside MetaRetinaHead; stock heads are in test_configs.py."""

import pytest
import torch


def losses(build_head, feats, data_samples, assigner):
    torch.manual_seed(0)
    head = build_head(
        train_cfg=dict(assigner=assigner, allowed_border=-1, pos_weight=-1)
    )
    head.prior_generator.jitter = 0.0
    return head.loss(feats, data_samples)


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='FasterRCNNAssigner'),
        dict(type='SSDAssigner'),
        dict(type='YOLOv3Assigner'),
        dict(
            type='ScaleCompensationAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4
        ),
    ],
    ids=lambda cfg: cfg['type'],
)
def test_meta_retina_head(build_head, feats, data_samples, cfg):
    parts = losses(build_head, feats, data_samples, cfg)
    total = sum(value for level in parts.values() for value in level)
    assert total.isfinite()
    total.backward()
    assert sum(parts['loss_bbox']) > 0  # some prior is positive


def test_losses_are_those_of_the_stock_assigner(
    build_head, feats, data_samples
):
    """Ordinary boxes: FasterRCNNAssigner and MaxIoUAssigner agree."""
    thresholds = dict(pos_iou_thr=0.5, neg_iou_thr=0.4)
    ours, stock = (
        losses(build_head, feats, data_samples, dict(cfg, **thresholds))
        for cfg in (
            dict(type='FasterRCNNAssigner'),
            dict(type='MaxIoUAssigner', min_pos_iou=0),
        )
    )
    for name, value in stock.items():
        assert torch.equal(torch.stack(ours[name]), torch.stack(value))
