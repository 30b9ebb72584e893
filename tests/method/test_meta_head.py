"""The mixin serves heads of any layout: here that of SSD.

Its levels have channels and convolutions of their own, in containers that do
not pass on ``init_weights``, and it makes its layers before its coder.
"""

import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from mmdet_metaanchor import MetaSSDHead, customize_anchors
from mmdet_metaanchor.anchors.customize import find_head, find_heads

STRIDES = [8, 16]
SIZES = [[(32, 32), (30, 10)], [(40, 40), (60, 20), (9, 50)]]


def build(**anchors):
    return MetaSSDHead(
        num_classes=3,
        in_channels=[4, 6],
        stacked_convs=1,
        feat_channels=5,
        anchor_generator=dict(
            type='MetaAnchorGenerator',
            **{'strides': STRIDES, 'shapes': SIZES, **anchors},
        ),
        train_cfg=ConfigDict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.0,
            ),
            sampler=dict(type='PseudoSampler'),
            smoothl1_beta=1.0,
            allowed_border=-1,
            pos_weight=-1,
            neg_pos_ratio=3,
        ),
    )


@pytest.fixture
def feats():
    return [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)]


def spread(head):
    """Let priors differ: W2 starts at 0."""
    for functions in head.anchor_functions().values():
        nn.init.normal_(functions.residual_layer.weight, std=0.5)
    return head


def test_generators_have_the_channels_of_their_convolutions():
    head = build()
    # Classes and a background, then boxes; towers of 5 channels.
    sizes = [
        (part.shared.in_channels, part.shared.out_channels)
        for part in head.anchor_functions().values()
    ]
    assert sizes == [(5, 4), (5, 4), (5, 4), (5, 4)]
    assert list(head.anchor_functions()) == [
        'cls_convs.0.1',
        'cls_convs.1.1',
        'reg_convs.0.1',
        'reg_convs.1.1',
    ]


def test_generators_in_containers_are_initialised():
    head = spread(build())
    head.init_weights()
    for functions in head.anchor_functions().values():
        assert functions.residual_layer.weight.count_nonzero() == 0
        assert functions.code_layer.weight.count_nonzero() > 0


def test_it_trains(feats, data_samples):
    head = build(jitter=0.1)  # with which both levels have an object
    losses = head.loss(feats, data_samples)
    sum(sum(loss) for loss in losses.values()).backward()
    for name, param in head.named_parameters():
        assert param.grad.isfinite().all(), name
        # W11 moves nothing as long as W2 is 0.
        if 'code_layer' not in name:
            assert param.grad.abs().sum() > 0, name


def test_a_set_predicts_what_its_members_predict(feats):
    head = spread(build()).eval()
    with torch.no_grad():
        together = head(feats)
        customize_anchors(head, [[sizes[1]] for sizes in SIZES])
        alone = head(feats)
    for kind, channels in enumerate((4, 4)):
        for level in range(2):
            torch.testing.assert_close(
                together[kind][level][:, channels : 2 * channels],
                alone[kind][level],
            )
    assert head.num_base_priors == [1, 1]


def test_a_standard_box_per_level_travels_in_the_checkpoint(feats):
    # (AH, AW) in px; in strides of 8 and 16 px: (1, 2) and (0.5, 0.25).
    trained = spread(build(standard_box=[(8, 16), (8, 4)])).eval()
    assert trained.standard_boxes.tolist() == [[1, 2], [0.5, 0.25]]
    other = build(standard_box=(8, 8)).eval()
    assert other.standard_boxes.shape == (1, 2)
    other.load_state_dict(trained.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(other(feats), trained(feats), strict=True):
            assert all(map(torch.equal, ours, theirs))
    # And back to one box for all levels.
    trained.load_state_dict(build(standard_box=(8, 8)).state_dict())
    assert trained.standard_boxes.shape == (1, 2)


def test_the_mean_prior_of_a_level_is_its_standard_box():
    # (AH, AW) in px: ((32 + 10) / 2, (32 + 30) / 2) at stride 8, and at 16
    # ((40 + 20 + 50) / 3, (40 + 60 + 9) / 3).
    boxes = build().standard_boxes * torch.tensor([[8.0], [16.0]])
    torch.testing.assert_close(
        boxes, torch.tensor([[21, 31], [110 / 3, 109 / 3]])
    )


def test_a_standard_box_for_other_levels_is_refused():
    with pytest.raises(ValueError, match='each of the 2 levels'):
        build(standard_box=[(8, 16), (8, 4), (4, 4)])
    state = build().state_dict()
    state['standard_boxes'] = torch.ones(3, 2)
    with pytest.raises(ValueError, match='each of the 2 levels'):
        build().load_state_dict(state)


def test_the_state_is_that_of_now():
    """Settings that were changed after the head was built are saved."""
    head = build()
    head.prior_generator.standard_box = (10, 20)
    head.box_function = 'published'
    other = build()
    other.load_state_dict(head.state_dict())
    assert other.box_function == 'published'
    assert torch.equal(
        other.prior_generator.standard_boxes,
        head.prior_generator.standard_boxes,
    )


def test_what_a_generator_of_stock_becomes():
    """Its arguments are not those of an AnchorGenerator."""
    anchors = dict(
        type='SSDAnchorGenerator',
        strides=STRIDES,
        ratios=[[2], [2]],
        min_sizes=[10, 20],
        max_sizes=[20, 30],
    )
    with pytest.raises(TypeError, match=r'before becomes its priors=dict'):
        MetaSSDHead(
            num_classes=3, in_channels=[4, 6], anchor_generator=anchors
        )


@pytest.mark.parametrize(
    'changes',
    [
        dict(stride=2),
        dict(dilation=2),
        dict(groups=2),
        dict(bias=False),
        dict(kernel_size=(3, 1)),
        dict(out_channels=10),
    ],
    ids=str,
)
def test_a_convolution_that_cannot_be_generated(changes):
    conv = nn.Conv2d(
        **dict(
            dict(in_channels=4, out_channels=12, kernel_size=3, padding=1),
            **changes,
        )
    )
    with pytest.raises(ValueError, match=r'only Conv2d\(4, .* got Conv2d'):
        build()._anchor_functions(conv, 3)


class TestSeveralHeads:
    @pytest.fixture
    def model(self, build_head):
        """Heads of 3 and of 2 levels, as a two-stage detector may have."""
        return nn.ModuleDict(dict(rpn_head=build_head(), bbox_head=build()))

    def test_all_are_found(self, model):
        assert len(find_heads(model)) == 2
        with pytest.raises(TypeError, match='2 MetaAnchor heads'):
            find_head(model)

    def test_all_are_customised(self, model):
        customize_anchors(model, dict(scales=[3], ratios=[1.0]))
        numbers = [
            head.prior_generator.num_base_priors for head in find_heads(model)
        ]
        assert numbers == [[1, 1, 1], [1, 1]]

    def test_one_that_cannot_leaves_all_as_they_were(self, model):
        before = [head.prior_generator for head in find_heads(model)]
        with pytest.raises(ValueError, match='2 strides'):
            customize_anchors(model, [[(8, 8)]] * 3)
        after = [head.prior_generator for head in find_heads(model)]
        assert all(a is b for a, b in zip(after, before, strict=True))

    def test_levels_of_another_head_are_refused_before_any_change(self, model):
        before = [head.prior_generator for head in find_heads(model)]
        with pytest.raises(ValueError, match='the head has 2 levels'):
            customize_anchors(
                model, dict(scales=[3], ratios=[1.0], strides=[8, 16, 32])
            )
        after = [head.prior_generator for head in find_heads(model)]
        assert all(a is b for a, b in zip(after, before, strict=True))
