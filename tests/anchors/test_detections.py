"""What is kept of detections is all that stays in memory."""

import torch
from mmengine.structures import InstanceData

from mmdet_metaanchor.anchors.detections import _kept


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
