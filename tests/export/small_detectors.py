"""Detectors of every family, of a few thousand parameters."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmdet_metaanchor.anchors.customize import find_head

ROOT = Path(__file__).resolve().parents[2]
RETINA, SSD = 'digits/meta-retinanet', 'meta_ssd/meta-ssd'
YOLO, RPN = 'meta_yolov3/meta-yolov3', 'meta_faster_rcnn/meta-rpn'


def read_config(name, data):
    """A config of the digits, shrunk; ``data`` stands for the data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', str(data))
        cfg = Config.fromfile(f'{ROOT}/configs/{name}_r18-w32_digits.py')
    model, norm = cfg.model, dict(type='GN', num_groups=2)
    model.backbone.update(base_channels=8, init_cfg=None)
    model.backbone.norm_cfg = dict(type='BN')
    head = model.get('bbox_head') or model.rpn_head
    if name == YOLO:
        channels = dict(in_channels=[64, 32, 16], out_channels=[32, 16, 8])
        model.neck.update(channels, norm_cfg=norm)
        channels = dict(in_channels=[32, 16, 8], out_channels=[64, 32, 16])
        head.update(channels, norm_cfg=norm)
    else:
        model.neck.update(in_channels=[8, 16, 32, 64], out_channels=8)
        head.update(in_channels=8, feat_channels=8)
    if name == SSD:
        model.neck.norm_cfg = norm
        head.in_channels = [8] * 5
    if name in (RETINA, SSD):
        head.update(stacked_convs=1, norm_cfg=norm)
    test_cfg = cfg.model.test_cfg
    test_cfg.get('rpn', test_cfg).update(score_thr=0.0)
    return cfg


def build(cfg):
    """A detector whose anchors differ, trained with those of its config."""
    model = MODELS.build(cfg.model)
    model.init_weights()
    head = find_head(model)
    for part in head.anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
    head.shape_range.copy_(head.range_of_priors())
    return model.eval()


def data_of(image):
    """An image, (H, W, 3), as a data loader gives it, not resized."""
    shape = image.shape[:2]
    sample = DetDataSample(
        metainfo=dict(
            img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)
        )
    )
    inputs = torch.from_numpy(image.transpose(2, 0, 1))
    return dict(inputs=[inputs], data_samples=[sample])


def assert_all_decoded(found, boxes, scores):
    """Every detection, of more than 20, is among what a file decodes."""
    assert len(found.bboxes) > 20
    for box, score, label in zip(
        found.bboxes, found.scores, found.labels, strict=True
    ):
        same = np.abs(scores[0, :, label] - score) < 1e-5
        assert np.abs(boxes[0, same] - box).max(1).min() < 1e-2  # px
