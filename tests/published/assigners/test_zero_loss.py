"""Ground truths of some sizes take no part in the losses."""

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

OTHERS = {
    'MaxIoUAssigner': dict(pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
    'FasterRCNNAssigner': dict(pos_iou_thr=0.5, neg_iou_thr=0.4),
    'SSDAssigner': {},
    'YOLOv3Assigner': {},
}


def build(name='FasterRCNNAssigner', **kwargs):
    other = dict(type=name, **OTHERS[name])
    cfg = dict(type='ZeroLossAssigner', assigner=other, **kwargs)
    return TASK_UTILS.build(cfg), TASK_UTILS.build(other)


def assign(assigner, boxes, box_type=torch.Tensor):
    """One prior on every box, and one without any."""
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    priors = torch.cat([boxes, torch.tensor([[900.0, 900, 950, 950]])])
    if box_type is HorizontalBoxes:
        boxes = HorizontalBoxes(boxes)
    return assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)) + 5),
    )


@pytest.mark.parametrize('by_name', [False, True])
def test_assigner_with_arguments_of_its_own(by_name):
    """ATSS wants to know the levels, before the ground truths."""
    cfg = dict(type='ATSSAssigner', topk=3)
    # 69 px, which is dropped, and 20 px; a prior on each, and one off both.
    # IoUs are 1, 0 and 0: mean 0.33 and deviation 0.58 add up to 0.91 < 1.
    truth = torch.tensor([at(0, 60, 80), at(200, 20, 20)]).float()
    priors = torch.cat([truth.flip(0), torch.tensor([[900.0, 0, 950, 50]])])
    taken = dict(
        pred_instances=InstanceData(priors=priors),
        num_level_priors=[3],
        gt_instances=InstanceData(bboxes=truth, labels=torch.tensor([5, 6])),
    )
    results = []
    for part in (cfg, dict(type='ZeroLossAssigner', assigner=cfg)):
        assign = TASK_UTILS.build(part).assign
        results.append(assign(**taken) if by_name else assign(*taken.values()))
    plain, result = results
    assert plain.gt_inds.tolist() == [2, 1, 0]
    assert result.gt_inds.tolist() == [2, -1, 0]
    assert result.labels.tolist() == [6, -1, -1]


def at(x, w, h):
    return [x, 0, x + w, h]


@pytest.mark.parametrize('box_type', [torch.Tensor, HorizontalBoxes])
@pytest.mark.parametrize('name', OTHERS)
def test_priors_of_the_sizes_are_ignored(name, box_type):
    # sqrt(60 * 80) = 69 px is within (50, 100); 20 px and 200 px are not
    boxes = [at(0, 20, 20), at(100, 60, 80), at(300, 200, 200)]
    assigner, other = build(name)
    plain = assign(other, boxes, box_type)
    assert plain.gt_inds.tolist() == [1, 2, 3, 0]
    result = assign(assigner, boxes, box_type)
    assert result.gt_inds.tolist() == [1, -1, 3, 0]
    assert result.labels.tolist() == [5, -1, 7, -1]


@pytest.mark.parametrize(
    ('w', 'h', 'dropped'),
    [
        (50, 50, False),  # the limits themselves are kept
        (51, 51, True),
        (99, 99, True),
        (100, 100, False),
        (110, 42, True),  # 68 px, log(110 / 42) = 0.96
        (42, 110, True),
        (115, 42, False),  # 69 px, log(115 / 42) = 1.007
        (42, 115, False),
    ],
)
def test_limits(w, h, dropped):
    assigner, _ = build()
    inds = assign(assigner, [at(0, w, h)]).gt_inds.tolist()
    assert inds == [-1 if dropped else 1, 0]


def test_own_limits():
    assigner, _ = build(size_range=(0, 30), max_log_ratio=0.1)
    boxes = [at(0, 20, 20), at(100, 20, 24), at(300, 60, 60)]
    # log(24 / 20) = 0.18
    assert assign(assigner, boxes).gt_inds.tolist() == [-1, 2, 3, 0]


def test_two_ranges():
    """One assigner within the other: 20 px and 69 px are left out."""
    assigner, other = build()
    assigner.assigner, _ = build(size_range=(10, 30))
    boxes = [at(0, 20, 20), at(100, 60, 80), at(300, 200, 200)]
    assert assign(other, boxes).gt_inds.tolist() == [1, 2, 3, 0]
    assert assign(assigner, boxes).gt_inds.tolist() == [-1, -1, 3, 0]


@pytest.mark.parametrize('boxes', [[], [at(0, 0, 60)]])
def test_nothing_to_drop(boxes):
    assigner, other = build()
    expected = assign(other, boxes)
    assert torch.equal(assign(assigner, boxes).gt_inds, expected.gt_inds)


def test_no_gradient_comes_from_them(load_config):
    """All ground truths dropped: what is left is the loss of background."""
    cfg = load_config('custom/retinanet_r18-w32_custom.py').model
    train_cfg = cfg.train_cfg
    train_cfg.assigner = dict(
        type='ZeroLossAssigner',
        assigner=train_cfg.assigner,
        size_range=(0, 1000),
    )
    head = MODELS.build(dict(cfg.bbox_head, train_cfg=train_cfg))
    scores = [torch.zeros(1, 9 * 2, s, s) for s in (8, 4, 2, 1, 1)]
    deltas = [
        torch.ones(1, 9 * 4, s, s, requires_grad=True) for s in (8, 4, 2, 1, 1)
    ]
    truth = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 40, 40]]), labels=torch.tensor([1])
    )
    meta = dict(img_shape=(64, 64), pad_shape=(64, 64))
    losses = head.loss_by_feat(scores, deltas, [truth], [meta])
    assert sum(losses['loss_bbox']) == 0
    assert sum(losses['loss_cls']) > 0


@pytest.mark.parametrize(
    'bad', [dict(size_range=(9, 3)), dict(max_log_ratio=0)]
)
def test_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        build(**bad)
