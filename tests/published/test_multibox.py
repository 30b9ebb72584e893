import pytest
import torch
from mmdet.registry import TASK_UTILS

CFG = dict(
    type='MultiBoxAnchorGenerator',
    strides=[(64, 32)],
    sizes=[[0.75, 0.5, 0.25]],
    ratios=[[1.0, 2.0, 0.5]],
    image_height=96,
)


def test_published_rule():
    """d2l's example: 3 sizes and 3 ratios make 5 priors per cell."""
    height, width = 96, 192
    priors = TASK_UTILS.build(CFG).grid_priors([(3, 3)], device='cpu')[0]
    assert len(priors) == 3 * 3 * 5
    relative = priors / torch.tensor([width, height] * 2)
    # (s, r): (0.75, 1), (0.5, 1), (0.25, 1), (0.75, 2), (0.75, 0.5), with
    # w = s sqrt(r) H / W = s sqrt(r) / 2 and h = s / sqrt(r)
    root = 2**0.5
    shapes = torch.tensor(
        [
            [0.375, 0.75],
            [0.25, 0.5],
            [0.125, 0.25],
            [0.375 * root, 0.75 / root],
            [0.375 / root, 0.75 * root],
        ]
    )
    cells = relative.view(3, 3, 5, 4)
    size = cells[..., 2:] - cells[..., :2]
    torch.testing.assert_close(size, shapes.expand_as(size), rtol=0, atol=1e-5)
    center = (cells[..., :2] + cells[..., 2:]) / 2
    for row in range(3):
        for column in range(3):
            expected = torch.tensor([(column + 0.5) / 3, (row + 0.5) / 3])
            torch.testing.assert_close(
                center[row, column], expected.expand(5, 2)
            )


def test_levels_may_differ():
    generator = TASK_UTILS.build(
        dict(
            CFG,
            strides=[8, 16],
            sizes=[[0.2], [0.4, 0.5]],
            ratios=[[1.0, 2.0], [1.0, 2.0, 3.0]],
        )
    )
    assert generator.num_base_priors == [2, 4]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(sizes=[[0.5, 1.5]]), r'\[0.5, 1.5\]'),
        (dict(sizes=[[float('nan')]]), 'nan'),
        (dict(sizes=[[]]), r'\[\]'),
        (dict(ratios=[[1.0, -2.0]]), '-2.0'),
        (dict(ratios=[[]]), r'\[\]'),
        (dict(image_height=0), r'\[0\]'),
        (dict(strides=[8, 16]), '2, 1 and 1'),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        TASK_UTILS.build({**CFG, **change})
