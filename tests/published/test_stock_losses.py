"""The losses of the published systems in MMDetection's parts."""

import math

import pytest
import torch
from mmdet.registry import MODELS

LOG2 = math.log(2)


def values(cfg, predictions, targets):
    loss = MODELS.build(dict(cfg, reduction='none'))
    return loss(torch.tensor(predictions), torch.tensor(targets))


def test_fast_rcnn_smooth_l1():
    # 0.5 x^2 below 1, |x| - 0.5 from there on
    cfg = dict(type='SmoothL1Loss', beta=1.0)
    actual = values(cfg, [0.5, -0.5, 1, -3], [0.0] * 4)
    torch.testing.assert_close(actual, torch.tensor([0.125, 0.125, 0.5, 2.5]))


def test_fast_rcnn_log_loss():
    # -log p_u with p = softmax(0, log 3) = (1/4, 3/4)
    cfg = dict(type='CrossEntropyLoss')
    actual = values(cfg, [[0.0, math.log(3)]] * 2, [0, 1])
    expected = torch.tensor([math.log(4), math.log(4 / 3)])
    torch.testing.assert_close(actual, expected)


def test_retinanet_focal_loss():
    # p = 1/2: 0.25 (1/2)^2 log 2 with the object, 0.75 (1/2)^2 log 2 without
    cfg = dict(type='FocalLoss', use_sigmoid=True, alpha=0.25, gamma=2.0)
    actual = values(cfg, [[0.0], [0]], [0, 1])
    expected = torch.tensor([[0.25 * 0.25 * LOG2], [0.75 * 0.25 * LOG2]])
    torch.testing.assert_close(actual, expected)


def test_faster_rcnn_lambda(load_config):
    cfg = load_config('anchor_systems/faster-rcnn_r18-w32_digits.py').model
    # 10 / locations, where MMDetection has the weight / sampled priors
    height, width = 192, 256
    locations = sum(
        math.ceil(height / stride) * math.ceil(width / stride)
        for stride in cfg.rpn_head.anchor_generator.strides
    )
    assert cfg.rpn_head.loss_bbox.type == 'SmoothL1Loss'
    assert cfg.rpn_head.loss_bbox.beta == 1
    assert cfg.rpn_head.loss_bbox.loss_weight == pytest.approx(
        10 * cfg.train_cfg.rpn.sampler.num / locations, rel=0.01
    )


def test_ssd_mines_three_negatives_for_a_positive(load_config):
    cfg = load_config('anchor_systems/ssd_r18-w32_digits.py').model
    head = MODELS.build(dict(cfg.bbox_head, train_cfg=cfg.train_cfg))
    # Prior 0 is positive; negatives i = 1 .. 5 with background logit i cost
    # log(1 + 10 e^-i), so 1, 2 and 3 are the hardest.
    labels = torch.tensor([0, 10, 10, 10, 10, 10])
    scores = torch.zeros(6, 11)
    scores[1:, 10] = torch.arange(1.0, 6)
    offsets = torch.zeros(6, 4)
    offsets[0] = torch.tensor([0.5, 2, 0, 0])  # costs 0.125 + 1.5
    offsets[1:] = 9.0  # no box to compare with: costs nothing
    positive = (labels < 10).float()
    loss_cls, loss_bbox = head.loss_by_feat_single(
        scores,
        offsets,
        torch.zeros(6, 4),
        labels,
        torch.ones(6),
        torch.zeros(6, 4),
        positive[:, None].expand(6, 4),
        avg_factor=1,
    )
    expected = math.log(11) + sum(
        math.log(1 + 10 * math.exp(-i)) for i in (1, 2, 3)
    )
    assert loss_cls.item() == pytest.approx(expected)
    assert loss_bbox.item() == pytest.approx(0.125 + 1.5)


def test_yolo_weights(load_config):
    cfg = load_config(
        'anchor_systems/yolov3-coord5-noobj0.5_r18-w32_digits.py'
    ).model.bbox_head
    assert cfg.loss_xy.loss_weight == cfg.loss_wh.loss_weight == 5
    assert cfg.loss_conf.noobj_weight == 0.5
    for loss in (cfg.loss_conf, cfg.loss_cls):
        assert loss.get('loss_weight', 1) == 1


def test_yolov3_gradient_of_places(load_config):
    # Darknet's gradient is the prediction less the target, sigmoid(t) - x:
    # that of the squared error on sigmoid(t) without the slope of the
    # sigmoid, and that of the stock logistic loss.
    cfg = load_config('anchor_systems/yolov3_r18-w32_digits.py')
    loss = MODELS.build(dict(cfg.model.bbox_head.loss_xy, loss_weight=1.0))
    t = torch.tensor([[0.3, -2.0]], requires_grad=True)
    target = torch.tensor([[0.9, 0.25]])
    loss(t, target, weight=torch.ones(1, 2)).backward()
    torch.testing.assert_close(t.grad, t.detach().sigmoid() - target)


def test_yolov3_class_loss_counts_where_an_object_is(load_config):
    cfg = load_config('anchor_systems/yolov3_r18-w32_digits.py').model
    head = MODELS.build(dict(cfg.bbox_head, train_cfg=cfg.train_cfg))
    # One map of 2 priors, logits 0: prior 0 holds an object, 1 is empty.
    target = torch.zeros(1, 2, 15)
    target[0, 0, :2] = 0.5  # the middle of the cell
    target[0, 0, 4] = 1
    target[0, 0, 5] = 1
    negative = torch.tensor([[0, 1]])
    loss_cls, loss_conf, loss_xy, loss_wh = head.loss_by_feat_single(
        torch.zeros(1, 2 * 15, 1, 1), target, negative
    )
    assert loss_cls.item() == pytest.approx(10 * LOG2)  # of prior 0 alone
    assert loss_conf.item() == pytest.approx(2 * LOG2)
    assert loss_xy.item() == pytest.approx(2.0 * 2 * LOG2)  # weight 2
    assert loss_wh.item() == 0
