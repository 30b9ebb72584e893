"""Images on which MaxIoUAssigner has to work, for ours.

They are the cases that MMDetection tests its own assigner with: few boxes,
regions to ignore, and every combination of nothing, where labels of an image
without ground truths may be floats, as ``torch.tensor([])`` is.
"""

import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmengine.structures import InstanceData

from mmdet_metaanchor.published.assigners import (
    FasterRCNNAssigner,
    SSDAssigner,
    YOLOv3Assigner,
)

PRIORS = torch.tensor(
    [[0.0, 0, 10, 10], [10, 10, 20, 20], [5, 5, 15, 15], [32, 32, 38, 42]]
)
BOXES = torch.tensor([[0.0, 0, 10, 9], [0, 10, 10, 19]])
LABELS = torch.tensor([2, 3])
NO_BOXES, NO_LABELS = torch.empty(0, 4), torch.tensor([])
REGION = InstanceData(bboxes=torch.tensor([[30.0, 30, 40, 40]]))
OURS = [FasterRCNNAssigner, SSDAssigner, YOLOv3Assigner]


@pytest.fixture(params=OURS, ids=lambda kind: kind.__name__)
def assigner(request):
    return request.param(ignore_iof_thr=0.5, ignore_wrt_candidates=False)


def assign(assigner, priors, boxes, labels, ignored=None):
    result = assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=boxes, labels=labels),
        ignored,
    )
    assert result.num_gts == len(boxes)
    for part in (result.gt_inds, result.max_overlaps, result.labels):
        assert part.shape == (len(priors),)
    return result


@pytest.mark.parametrize('ignored', [None, REGION])
def test_few_boxes(ignored):
    """Prior 0 has an IoU of 90 / 100 with box 0, and is positive for it.

    Prior 2 has 5 x 5 = 25 px of 165 in common with box 1, more than any
    other prior has, and is positive for it, for the rule as for stock. The
    region covers 6 x 8 = 48 px of the 60 of prior 3, 0.8, and so ignores it.
    """
    kwargs = dict(ignore_iof_thr=0.5, ignore_wrt_candidates=True)
    ours = FasterRCNNAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5, **kwargs)
    stock = MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5, **kwargs)
    stock.min_pos_iou = 0.0
    found = assign(ours, PRIORS, BOXES, LABELS, ignored)
    assert found.gt_inds.tolist() == [1, 0, 2, -1 if ignored else 0]
    assert found.labels.tolist() == [2, -1, 3, -1]
    expected = assign(stock, PRIORS, BOXES, LABELS, ignored)
    assert torch.equal(found.gt_inds, expected.gt_inds)
    assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize('ignored', [None, REGION])
@pytest.mark.parametrize('labels', [NO_LABELS, NO_LABELS.long()])
def test_no_ground_truths(assigner, ignored, labels):
    found = assign(assigner, PRIORS, NO_BOXES, labels, ignored)
    assert found.gt_inds.tolist() == [0] * 4
    assert found.labels.tolist() == [-1] * 4


@pytest.mark.parametrize('ignored', [None, REGION])
def test_no_priors(assigner, ignored):
    assign(assigner, NO_BOXES, BOXES, LABELS, ignored)


@pytest.mark.parametrize('ignored', [None, REGION])
def test_neither(assigner, ignored):
    assign(assigner, NO_BOXES, NO_BOXES, NO_LABELS, ignored)
