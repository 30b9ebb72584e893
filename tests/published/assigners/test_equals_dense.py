"""Every assigner equals its rule written out prior by prior."""

from unittest import mock

import dense
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.prior_generators import YOLOAnchorGenerator
from mmengine.structures import InstanceData

from mmdet_metaanchor.published.assigners import (
    FasterRCNNAssigner,
    SSDAssigner,
    YOLOv3Assigner,
    prior_index,
)

CASES = settings(max_examples=max(1000, settings().max_examples))
# Few distinct numbers: ties, duplicates and boxes without area are common.
# Some lie outside of the image, as crops leave them.
SIDES = st.integers(0, 48)
PLACES = st.integers(-8, 72)
SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30)).map(
    lambda half: (2 * half[0], 2 * half[1])
)


@st.composite
def ground_truths(draw, places=PLACES, most=6):
    boxes = draw(
        st.lists(st.tuples(places, places, SIDES, SIDES), max_size=most)
    )
    boxes = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


@st.composite
def grids(draw):
    """Priors of 1 to 3 levels, and (stride, width, height, shapes) of each."""
    number = draw(st.integers(1, 3))
    strides = draw(st.permutations([8, 16, 32]))[:number]
    kinds = draw(st.integers(1, 4))
    levels = [
        (
            stride,
            64 // stride,
            64 // stride,
            draw(st.lists(SHAPES, min_size=kinds, max_size=kinds)),
        )
        for stride in strides
    ]
    generator = YOLOAnchorGenerator(strides, [level[3] for level in levels])
    sizes = [(height, width) for _, width, height, _ in levels]
    return torch.cat(generator.grid_priors(sizes, device='cpu')), levels


@st.composite
def scattered(draw):
    """Priors in no order, among them some without area, or inside out."""
    number = draw(st.integers(1, 300))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    boxes = torch.randint(0, 64, (number, 4), generator=seed).float()
    tidy = draw(st.booleans())
    if tidy:
        low, high = boxes[:, :2], boxes[:, 2:]
        boxes = torch.cat([low.minimum(high), low.maximum(high)], 1)
    return boxes


def assign(assigner, priors, boxes):
    """Through bounds and without, which has to be the same."""
    direct = assign_once(assigner, priors, boxes)
    with mock.patch.object(prior_index, 'MAX_ELEMENTS', 64):
        assert assign_once(assigner, priors, boxes) == direct
    return direct


def assign_once(assigner, priors, boxes):
    result = assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)) + 10),
    )
    positive = result.gt_inds > 0
    assert result.num_gts == len(boxes)
    assert (result.labels[~positive] == -1).all()
    assert (result.labels[positive] == result.gt_inds[positive] + 9).all()
    return result.gt_inds.tolist()


def as_single(threshold):
    """What a tensor is compared with."""
    return torch.tensor(threshold).item()


priors_of_any_kind = st.one_of(grids().map(lambda grid: grid[0]), scattered())


@CASES
@given(
    priors_of_any_kind,
    ground_truths(),
    st.sampled_from([(0.7, 0.3), (0.5, 0.4), (0.5, 0.5)]),
)
def test_faster_rcnn(priors, boxes, thresholds):
    expected = (
        dense.faster_rcnn(priors, boxes, *map(as_single, thresholds))
        if len(boxes)
        else [0] * len(priors)
    )
    assert assign(FasterRCNNAssigner(*thresholds), priors, boxes) == expected


@CASES
@given(priors_of_any_kind, ground_truths(), st.sampled_from([0.3, 0.5]))
def test_ssd(priors, boxes, threshold):
    expected = (
        dense.ssd(priors, boxes, as_single(threshold))
        if len(boxes)
        else [0] * len(priors)
    )
    assert assign(SSDAssigner(threshold), priors, boxes) == expected


@CASES
@given(grids(), ground_truths(places=st.integers(0, 24)))
def test_yolov3_on_grids(grid, boxes):
    priors, levels = grid
    expected = (
        dense.yolov3_of_grid(priors, boxes, 0.5, levels)
        if len(boxes)
        else [0] * len(priors)
    )
    assert assign(YOLOv3Assigner(), priors, boxes) == expected


@st.composite
def scattered_of_few_shapes(draw):
    """Priors in no order, of sides far enough apart for shapes to differ."""
    number = draw(st.integers(1, 200))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    center = torch.randint(0, 64, (number, 2), generator=seed).float()
    sides = torch.tensor([0.0, 4, 10, 24, 60])
    kinds = torch.randint(0, 5, (number, 2), generator=seed)
    return torch.cat([center - sides[kinds] / 2, center + sides[kinds] / 2], 1)


@CASES
@given(scattered_of_few_shapes(), ground_truths())
def test_yolov3_without_a_grid(priors, boxes):
    expected = (
        dense.yolov3_of_any(priors, boxes, 0.5)
        if len(boxes)
        else [0] * len(priors)
    )
    assert assign(YOLOv3Assigner(), priors, boxes) == expected
