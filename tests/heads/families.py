"""Small heads of every family, for laws that each of them keeps."""

import pytest
import torch
from mmdet.registry import MODELS

STRIDES = [8, 16, 32]
GRID = dict(scales=[3.0, 4.0], ratios=[0.5, 1.0, 2.0], strides=STRIDES)
SSD_ANCHORS = dict(
    type='SSDAnchorGenerator',
    scale_major=False,
    strides=STRIDES,
    min_sizes=[16, 40, 80],
    max_sizes=[40, 80, 120],
    ratios=[[2], [2, 3], [2]],
)
YOLO_ANCHORS = dict(
    type='YOLOAnchorGenerator',
    base_sizes=[
        [(90, 60), (50, 110), (99, 98)],
        [(40, 20), (20, 50), (45, 44)],
        [(10, 13), (20, 9), (24, 22)],
    ],
    strides=STRIDES[::-1],
)
SIZES = [(12, 16), (6, 8), (3, 4)]
# Of each head: its arguments, stock anchors, the (h, w) and the channels of
# the features of its levels.
HEADS = {
    'Retina': (
        dict(num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1),
        dict(type='AnchorGenerator', **GRID),
        SIZES,
        (8, 8, 8),
    ),
    'ATSS': (  # of docs/other-heads.md
        dict(
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            norm_cfg=dict(type='GN', num_groups=2),
        ),
        dict(type='AnchorGenerator', **GRID),
        SIZES,
        (8, 8, 8),
    ),
    'RPN': (
        dict(in_channels=8, feat_channels=8),
        dict(type='AnchorGenerator', **GRID),
        SIZES,
        (8, 8, 8),
    ),
    'SSD': (
        dict(num_classes=3, in_channels=(8, 6, 4)),
        SSD_ANCHORS,
        SIZES,
        (8, 6, 4),
    ),
    'YOLOV3': (
        dict(num_classes=3, in_channels=(4, 6, 8), out_channels=(4, 6, 8)),
        YOLO_ANCHORS,
        SIZES[::-1],
        (4, 6, 8),
    ),
}
every_head = pytest.mark.parametrize('name', HEADS)
both_forms = pytest.mark.parametrize('form', ['weights', 'mixture'])


def build_stock(name):
    arguments, anchors, *_ = HEADS[name]
    head = MODELS.build(
        dict(
            type='RepairedSSDHead' if name == 'SSD' else f'{name}Head',
            anchor_generator=anchors,
            **coder_of(name),
            **arguments,
        )
    )
    for param in head.parameters():  # filters that have nothing in common
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def build(name, spread=True, anchors=None, box_function='scaled', **function):
    """The MetaAnchor head; with ``spread``, one whose priors differ."""
    arguments, stock_anchors, *_ = HEADS[name]
    head = MODELS.build(
        dict(
            type=f'Meta{name}Head',
            anchor_generator=dict(
                type='MetaAnchorGenerator',
                priors=stock_anchors,
                **(anchors or {}),
            ),
            anchor_function=function,
            box_function=box_function,
            **coder_of(name),
            **arguments,
        )
    )
    head.init_weights()
    if spread:
        for part in head.anchor_functions().values():
            torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
            torch.nn.init.normal_(part.shared.bias, std=0.3)
    return head.eval()


def coder_of(name):
    if name == 'YOLOV3':
        return dict(bbox_coder=dict(type='YOLOBBoxCoder'))
    return dict(
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]
        )
    )


def features(name, images=2):
    *_, sizes, channels = HEADS[name]
    return [
        torch.randn(images, channel, *size)
        for channel, size in zip(channels, sizes, strict=True)
    ]


@torch.no_grad()
def by_prior(head, feats):
    """Outputs of a branch and a level, each (N, A, outputs, H, W)."""
    numbers = head.prior_generator.num_base_priors
    return [
        [
            level.unflatten(1, (number, -1))
            for level, number in zip(branch, numbers, strict=True)
        ]
        for branch in head(feats)
    ]


def assert_equal(some, others, tolerance=1e-5):
    for ours, theirs in zip(some, others, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            # relative to the largest: sums of products cancel
            torch.testing.assert_close(
                a, b, rtol=0, atol=tolerance * max(1, float(b.abs().max()))
            )
