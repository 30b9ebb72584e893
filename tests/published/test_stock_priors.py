"""Priors of the published systems, ours or stock, equal their formulas.

Each is also a source of MetaAnchorGenerator.
"""

import math

import pytest
import torch
from mmdet.registry import TASK_UTILS

STRIDES = [8, 16, 32, 64, 128]
RETINANET = dict(
    type='AnchorGenerator',
    octave_base_scale=4,
    scales_per_octave=3,
    ratios=[0.5, 1.0, 2.0],
    strides=STRIDES,
    center_offset=0.5,
)
SSD_RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
SSD300 = dict(
    type='SSDAnchorGenerator',
    strides=[8, 16, 32, 64, 100, 300],
    ratios=SSD_RATIOS,
    scale_major=False,
    input_size=300,
    basesize_ratio_range=(0.2, 0.9),
)
# The stock generator rounds sizes down to whole px. The published 300 px ones
# are whole; of the 512 px ones no more than one is, so they are given.
SSD512_SIZES = [35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6]
SSD512 = dict(
    type='SSDAnchorGenerator',
    strides=[8, 16, 32, 64, 128, 256, 512],
    ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
    scale_major=False,
    min_sizes=SSD512_SIZES[:-1],
    max_sizes=SSD512_SIZES[1:],
)
YOLOV3_SIZES = [
    [(116, 90), (156, 198), (373, 326)],
    [(30, 61), (62, 45), (59, 119)],
    [(10, 13), (16, 30), (33, 23)],
]
YOLOV3 = dict(
    type='YOLOAnchorGenerator', strides=[32, 16, 8], base_sizes=YOLOV3_SIZES
)
MULTIBOX = dict(
    type='MultiBoxAnchorGenerator',
    strides=[32, 64],
    sizes=[[0.2, 0.272], [0.37, 0.447]],
    ratios=[[1.0, 2.0, 0.5]] * 2,
    image_height=256,
)


def shapes_and_centers(generator, level, height=2, width=3):
    """(height, width, A, 2) sizes (w, h) and centres (x, y), in px."""
    sizes = [(height, width)] * generator.num_levels
    priors = generator.grid_priors(sizes, device='cpu')[level]
    cells = priors.view(height, width, -1, 4)
    low, high = cells[..., :2], cells[..., 2:]
    return high - low, (low + high) / 2


def assert_grid(generator, expected_shapes, steps):
    """Shapes in any order; centres at (i + 0.5) steps."""
    for level, (expected, step) in enumerate(
        zip(expected_shapes, steps, strict=True)
    ):
        shapes, centers = shapes_and_centers(generator, level)
        expected = torch.tensor(sorted(expected)).float()
        for row in range(2):
            for column in range(3):
                actual = torch.tensor(sorted(shapes[row, column].tolist()))
                torch.testing.assert_close(actual, expected, rtol=1e-5, atol=0)
                middle = torch.tensor([column + 0.5, row + 0.5]) * step
                assert torch.allclose(centers[row, column], middle, atol=1e-3)


def test_retinanet():
    # area = (4 stride 2^(k/3))^2, ratio = w / h: h = sqrt(area / ratio)
    expected = [
        [
            (area**0.5 * ratio**0.5, (area / ratio) ** 0.5)
            for k in range(3)
            for ratio in (0.5, 1, 2)
            for area in [(4 * stride * 2 ** (k / 3)) ** 2]
        ]
        for stride in STRIDES
    ]
    assert min(w * h for w, h in expected[0]) == pytest.approx(32**2)
    assert_grid(TASK_UTILS.build(RETINANET), expected, STRIDES)


def ssd_shapes(sizes, ratios):
    """Squares of s_k and sqrt(s_k s_(k+1)); s_k sqrt(r) x s_k / sqrt(r)."""
    return [
        [
            (size, size),
            (math.sqrt(size * larger),) * 2,
            *(
                (size * r**0.5, size / r**0.5)
                for ratio in level
                for r in (ratio, 1 / ratio)
            ),
        ]
        for size, larger, level in zip(
            sizes[:-1], sizes[1:], ratios, strict=True
        )
    ]


def test_ssd300():
    # 0.1 for the first level, then 0.2 to 0.88 in steps of 0.17, of 300 px
    sizes = [30, *(300 * (20 + 17 * k) / 100 for k in range(6))]
    assert sizes == [30, 60, 111, 162, 213, 264, 315]
    generator = TASK_UTILS.build(SSD300)
    assert generator.num_base_priors == [4, 6, 6, 6, 4, 4]
    expected = ssd_shapes(sizes, SSD_RATIOS)
    assert_grid(generator, expected, SSD300['strides'])


def test_ssd512():
    # 0.07 for the first level, then 0.15 to 1.05 in steps of 0.15, of 512 px
    sizes = [512 * 0.07, *(512 * 0.15 * k for k in range(1, 8))]
    assert sizes == pytest.approx(SSD512_SIZES)
    generator = TASK_UTILS.build(SSD512)
    assert generator.num_base_priors == [4, 6, 6, 6, 6, 4, 4]
    assert_grid(
        generator, ssd_shapes(sizes, SSD512['ratios']), SSD512['strides']
    )


def test_stock_rounds_the_sizes_of_ssd512():
    cfg = {k: v for k, v in SSD512.items() if not k.endswith('_sizes')}
    stock = TASK_UTILS.build(
        dict(cfg, input_size=512, basesize_ratio_range=(0.15, 0.9))
    )
    squares = [base[0, 2] - base[0, 0] for base in stock.base_anchors]
    assert squares[0] == 35  # 35.84
    assert squares[1] == 76  # 76.8


def test_dimension_clusters_of_yolov3():
    assert_grid(TASK_UTILS.build(YOLOV3), YOLOV3_SIZES, [32, 16, 8])


@pytest.mark.parametrize(
    'source',
    [RETINANET, SSD300, SSD512, YOLOV3, MULTIBOX],
    ids=['RetinaNet', 'SSD300', 'SSD512', 'YOLOv3', 'MultiBox'],
)
def test_source_of_meta_anchor(source):
    stock = TASK_UTILS.build(source)
    ours = TASK_UTILS.build(dict(type='MetaAnchorGenerator', priors=source))
    sizes = [(2, 3)] * stock.num_levels
    for actual, expected in zip(
        ours.grid_priors(sizes, device='cpu'),
        stock.grid_priors(sizes, device='cpu'),
        strict=True,
    ):
        assert torch.equal(actual, expected)
    assert [len(code) for code in ours.codes()] == stock.num_base_priors
