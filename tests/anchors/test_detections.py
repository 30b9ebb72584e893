"""What is kept of detections is all that stays in memory."""

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.structures import InstanceData

from mmdet_metaanchor.anchors.customize import find_head
from mmdet_metaanchor.anchors.detections import (
    _kept,
    cut_levels,
    suppress,
    take_apart,
    unite,
)


def test_nothing_is_kept_of_what_was_cut_off():
    """A part of a tensor would keep the whole of it."""
    scores = torch.rand(1000)
    found = InstanceData(scores=scores, bboxes=torch.rand(1000, 4))
    found.set_metainfo(dict(img_id=7))
    kept = _kept(found[:10])
    assert torch.equal(kept.scores, scores[:10])
    assert kept.img_id == 7
    for name, value in kept.items():
        size = value.numel() * value.element_size()
        assert value.untyped_storage().nbytes() == size, name


def test_the_surest_of_every_level_are_left():
    found = InstanceData(
        scores=torch.tensor([0.1, 0.9, 0.5, 0.3, 0.4]),
        level_ids=torch.tensor([0, 0, 1, 0, 1]),
    )
    # 0.9 and 0.3 of level 0, both of level 1, in the order of before.
    left = [0.9, 0.5, 0.3, 0.4]
    assert cut_levels(found, 2).scores.tolist() == pytest.approx(left)
    assert len(cut_levels(found, 0)) == 0
    for most in (-1, 3, 99):
        assert len(cut_levels(found, most)) == 5


@pytest.mark.parametrize(
    'name',
    [
        'digits/meta-retinanet',
        'meta_ssd/meta-ssd',
        'meta_yolov3/meta-yolov3',
        'meta_faster_rcnn/meta-rpn',
    ],
)
@pytest.mark.parametrize('number', [0, 2])
def test_nothing_is_left(load_config, name, number):
    """Of nothing, as a search may begin, and of boxes without an area."""
    head = find_head(
        MODELS.build(load_config(f'{name}_r18-w32_digits.py').model)
    )
    head.test_cfg.min_bbox_size = 0
    none = InstanceData(
        bboxes=torch.zeros(number, 4),
        scores=torch.full((number,), 0.9),
        labels=torch.zeros(number, dtype=torch.long),
        level_ids=torch.zeros(number, dtype=torch.long),
        metainfo=dict(img_id=7),
    )
    if head.__class__.__name__ == 'MetaYOLOV3Head':
        none.score_factors = torch.ones(number)
    left = none
    for _ in range(2):
        left = suppress(head, [left, none])
        assert left.img_id == 7
        assert sorted(left.keys()) == sorted(none.keys())
        assert len(left) == 0


def test_anchors_one_by_one():
    """The first of every level, then the second; one number for all levels."""
    settings = dict(type='MetaAnchorGenerator', strides=[8, 16])
    sizes = [[(10, 20), (30, 30)], [(20, 40), (60, 60)]]
    generator = TASK_UTILS.build(dict(settings, shapes=sizes))
    first, second = take_apart(generator)
    assert first == [[(10, 20)], [(20, 40)]]
    assert second == [[(30, 30)], [(60, 60)]]
    assert unite([first, second]) == sizes
    generator = TASK_UTILS.build(dict(settings, shapes=[sizes[0], [(9, 9)]]))
    with pytest.raises(ValueError, match=r'these have \[2, 1\]'):
        take_apart(generator)
