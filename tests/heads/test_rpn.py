"""What MetaRPNHead has beside the laws of all heads."""

import pytest
import torch
from families import build, features
from mmdet.models.task_modules.samplers import PseudoSampler
from mmdet.registry import TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mmdet_metaanchor import customize_anchors

HARD = dict(type='nms', iou_threshold=0.7)
# Of what is there twice it keeps the second, at 0.13 of the score.
SOFT = dict(
    type='soft_nms', iou_threshold=0.3, method='gaussian', min_score=1e-3
)


def one_cell_per_level(number, **test_cfg):
    """A head, features and an image of 400 px: what it has, and detects.

    Levels do not suppress each other, and no box is too small.
    """
    head = build('RPN')
    shapes = [(32.0, 32.0), (8.0, 90.0)][:number]
    customize_anchors(head, [shapes] * 3)
    head.test_cfg = ConfigDict(
        **dict(
            dict(nms_pre=100, max_per_img=100, nms=HARD, min_bbox_size=-1),
            **test_cfg,
        )
    )
    feats = [feat[:1, :, :1, :1] for feat in features('RPN')]
    sample = DetDataSample(
        metainfo=dict(img_shape=(400, 400), scale_factor=(1.0, 1.0))
    )
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
    return scores, boxes, found


@pytest.mark.parametrize('nms_pre', [-1, 1, 100])
@pytest.mark.parametrize('nms', [HARD, SOFT, None], ids=['hard', 'soft', 'no'])
def test_a_level_of_a_single_prior(nms, nms_pre):
    """It detects one box; stock's head fails on it."""
    scores, boxes, found = one_cell_per_level(1, nms=nms, nms_pre=nms_pre)
    best = scores.argsort(descending=True)
    torch.testing.assert_close(found.scores, scores[best])
    torch.testing.assert_close(found.bboxes, boxes[best])


def test_two_priors_in_a_cell_are_two():
    """Without NMS nothing but the copies is dropped: 2 boxes of 3 levels."""
    scores, _, found = one_cell_per_level(2, nms=None)
    assert len(found) == 6
    torch.testing.assert_close(
        found.scores, scores.sort(descending=True).values
    )


def test_training_with_a_level_of_a_single_prior(data_samples):
    """As in Faster R-CNN: losses, and the proposals of the next stage."""
    head = build('RPN').train()
    customize_anchors(head, [[(32.0, 32.0)]] * 3)
    head.train_cfg = ConfigDict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.7,
            neg_iou_thr=0.3,
            min_pos_iou=0.3,
        ),
        allowed_border=-1,
        pos_weight=-1,
    )
    head.assigner = TASK_UTILS.build(head.train_cfg.assigner)
    head.sampler = PseudoSampler()
    feats = tuple(feat[..., :1, :1] for feat in features('RPN'))
    losses, found = head.loss_and_predict(
        feats,
        data_samples,
        ConfigDict(nms_pre=9, max_per_img=9, nms=HARD, min_bbox_size=-1),
    )
    sum(sum(loss) for loss in losses.values()).backward()
    assert [len(image) for image in found] == [3, 3]
