"""Objects that no anchor fits have enough positive priors, too."""

import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

THRESHOLDS = dict(pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
PRIORS = 400


def build(kind='ScaleCompensationAssigner', **settings):
    return TASK_UTILS.build(dict(type=kind, **THRESHOLDS) | settings)


def assign(assigner, priors, boxes, ignored=None):
    return assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)) + 10),
        None if ignored is None else InstanceData(bboxes=ignored),
    )


@pytest.fixture(params=range(5))
def scene(request):
    """Priors of 20 to 60 px, and objects of 4 to 60 px, some overlapping."""
    generator = torch.Generator().manual_seed(request.param)

    def boxes(number, least):
        middles = torch.rand(number, 2, generator=generator) * 100
        span = torch.rand(number, 2, generator=generator)
        sizes = least * (60 / least) ** span
        return torch.cat([middles - sizes / 2, middles + sizes / 2], dim=1)

    return boxes(PRIORS, 20), boxes(6, 4)


def row(*lefts, width=10.0):
    """Boxes of height 10 in a row, by their left sides."""
    return torch.tensor([[x, 0.0, x + width, 10.0] for x in lefts])


def test_the_best_of_the_others_are_added():
    # IoU of boxes 10 wide, d apart, is (10 - d) / (10 + d):
    # d = 1: 0.82, 5: 0.33, 6: 0.25, 8: 0.11, 11: 0
    priors = row(1, 8, 5, 6, 11)
    for number, expected in {
        1: [1, 0, 0, 0, 0],
        2: [1, 0, 1, 0, 0],
        3: [1, 0, 1, 1, 0],
        9: [1, 1, 1, 1, 0],  # the last does not overlap
    }.items():
        result = assign(build(min_positives=number), priors, row(0))
        assert result.gt_inds.tolist() == expected
        labels = [10 if index else -1 for index in expected]
        assert result.labels.tolist() == labels


def test_a_prior_that_overlaps_another_object_more_is_not_taken():
    # From the object at 0 the priors are 2, 6 and 7 away, from that at 10
    # they are 8, 4 and 3: the first has its best alone.
    priors = row(2, 6, 7)
    result = assign(build(min_positives=3), priors, row(0, 10))
    assert result.gt_inds.tolist() == [1, 2, 2]


def test_of_equals_the_first_object_receives():
    # Both objects have 0.82 with the first prior, which stock gives to the
    # one listed last; 0.33, 0.25 and 0.11 are the first one's.
    priors = row(1, 5, 6, 8)
    result = assign(build(min_positives=2), priors, row(0, 0))
    assert result.gt_inds.tolist() == [2, 1, 1, 0]


def test_an_object_whose_best_prior_is_another_ones():
    # Stock gives the first prior to the object listed last, and the first
    # object nothing; the second prior is 8 from it and 8.5 from the other.
    priors, boxes = row(0.25, -8), row(0, 0.5)
    stock = assign(build('MaxIoUAssigner'), priors, boxes)
    assert stock.gt_inds.tolist() == [2, 0]
    ours = assign(build(min_positives=1), priors, boxes)
    assert ours.gt_inds.tolist() == [2, 1]


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_precisions(dtype):
    priors = row(1, 8, 5, 6, 11).to(dtype)
    result = assign(build(), priors, row(0).to(dtype))
    assert result.gt_inds.tolist() == [1, 0, 1, 1, 0]


def test_min_pos_iou_bounds_what_is_added():
    # 0.82, 0.33, 0.25 and 0.11, as above
    priors = row(1, 5, 6, 8)
    assigner = build(min_positives=4, min_pos_iou=0.2)
    assert assign(assigner, priors, row(0)).gt_inds.tolist() == [1, 1, 1, 0]


def test_priors_in_ignored_regions_stay_ignored():
    # The second is all in the ignored region, the third half of it.
    priors = row(1, 5, -5)
    assigner = build(min_positives=3, ignore_iof_thr=0.6)
    result = assign(assigner, priors, row(0), ignored=row(5))
    assert result.gt_inds.tolist() == [1, -1, 1]


def test_one_is_the_rule_of_stock(scene):
    """Where each object has its best prior, as in these scenes."""
    results = [
        assign(build(kind, **settings), *scene)
        for kind, settings in (
            ('MaxIoUAssigner', {}),
            ('ScaleCompensationAssigner', dict(min_positives=1)),
        )
    ]
    for key in ('gt_inds', 'max_overlaps', 'labels'):
        assert torch.equal(*(getattr(result, key) for result in results))


@pytest.mark.parametrize('number', [2, 9, 1000])
def test_what_stock_gives_stays_and_the_rest_is_the_best(scene, number):
    priors, boxes = scene
    stock = assign(build('MaxIoUAssigner'), priors, boxes)
    result = assign(build(min_positives=number), priors, boxes)

    positive = stock.gt_inds > 0
    assert torch.equal(result.gt_inds[positive], stock.gt_inds[positive])
    assert torch.equal(result.max_overlaps, stock.max_overlaps)
    overlaps = build().iou_calculator(boxes, priors)
    nearest = overlaps.argmax(dim=0)
    for index, ious in enumerate(overlaps):
        own = result.gt_inds == index + 1
        before = stock.gt_inds == index + 1
        free = (nearest == index) & ~positive & (ious > 0)
        # As many as there are, up to the number.
        expected = max(
            int(before.sum()), min(number, int((before | free).sum()))
        )
        assert own.sum() == expected
        added, left = own & ~before, free & ~own
        if added.any():
            assert free[added].all()
            assert not left.any() or ious[added].min() >= ious[left].max()
        assert (result.labels[own] == index + 10).all()
    rest = result.gt_inds < 1
    assert torch.equal(result.gt_inds[rest], stock.gt_inds[rest])


def test_no_objects_and_no_priors():
    assigner = build()
    nothing = torch.zeros(0, 4)
    assert assign(assigner, row(0, 5), nothing).gt_inds.tolist() == [0, 0]
    assert assign(assigner, nothing, row(0)).gt_inds.tolist() == []


@pytest.mark.parametrize('number', [0, -1, 2.5, None])
def test_a_number_that_is_none(number):
    with pytest.raises(ValueError, match=f'min_positives .*{number}'):
        build(min_positives=number)
