"""What is kept of detections is all that stays in memory."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet_metaanchor.anchors.detections import _kept, cut_levels


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
