"""What MetaRPNHead has beside the laws of all heads."""

import pytest
import torch
from families import build, features
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mmdet_metaanchor import customize_anchors

TEST_CFG = ConfigDict(
    nms_pre=100,
    max_per_img=100,
    nms=dict(type='nms', iou_threshold=0.7),
    min_bbox_size=0,
)


@pytest.mark.parametrize('number', [1, 2])
def test_a_level_of_one_cell(number):
    """One prior there is one box more; stock's head fails on one alone."""
    head = build('RPN')
    shapes = [(32.0, 32.0), (8.0, 90.0)][:number]
    customize_anchors(head, [shapes] * 3)
    feats = [feat[:1, :, :1, :1] for feat in features('RPN')]
    sample = DetDataSample(
        metainfo=dict(img_shape=(400, 400), scale_factor=(1.0, 1.0))
    )
    head.test_cfg = TEST_CFG
    with torch.no_grad():
        scores, deltas = head(feats)
        (found,) = head.predict(tuple(feats), [sample])
    priors = head.prior_generator.grid_priors([(1, 1)] * 3, device='cpu')
    boxes = torch.cat(
        [
            head.bbox_coder.decode(level, delta.view(-1, 4), (400, 400))
            for level, delta in zip(priors, deltas, strict=True)
        ]
    )
    scores = torch.cat([score.flatten() for score in scores]).sigmoid()
    # No level suppresses those of another, and none is outside.
    best = scores.argsort(descending=True)
    if number == 1:
        assert len(found) == 3
    torch.testing.assert_close(found.bboxes[0], boxes[best[0]])
    kept = torch.isin(found.scores, scores)
    assert kept.all()
    assert len(found.scores.unique()) == len(found)
