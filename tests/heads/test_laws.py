"""Laws that every MetaAnchor head keeps, in both forms of its generators."""

import copy

import pytest
import torch
from families import (
    HEADS,
    assert_equal,
    both_forms,
    build,
    build_stock,
    by_prior,
    coder_of,
    every_head,
    features,
)
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict

from mmdet_metaanchor import (
    MetaHeadMixin,
    bake_anchors,
    customize_anchors,
)
from mmdet_metaanchor.anchors.customize import find_head, list_shapes
from mmdet_metaanchor.method.shape_range import nearest, reach_of_box


@every_head
@both_forms
@pytest.mark.parametrize('data_dependent', [False, True])
class TestSets:
    def test_a_set_predicts_what_its_members_predict(
        self, name, form, data_dependent
    ):
        head = build(name, form=form, data_dependent=data_dependent)
        feats = features(name)
        shapes = list_shapes(head.prior_generator)
        together = by_prior(head, feats)
        for index in range(min(map(len, shapes))):
            customize_anchors(head, [[level[index]] for level in shapes])
            alone = by_prior(head, feats)
            assert_equal(
                [[level[:, index] for level in kind] for kind in together],
                [[level[:, 0] for level in kind] for kind in alone],
            )

    def test_members_differ(self, name, form, data_dependent):
        """The law above would hold for a head that ignores its priors."""
        head = build(name, form=form, data_dependent=data_dependent)
        for kind in by_prior(head, features(name)):
            for level in kind:
                for i in range(level.shape[1]):
                    for j in range(i):
                        assert not torch.allclose(level[:, i], level[:, j])

    def test_permuting_priors_permutes_outputs(
        self, name, form, data_dependent
    ):
        head = build(name, form=form, data_dependent=data_dependent)
        feats = features(name)
        before = by_prior(head, feats)
        shapes = list_shapes(head.prior_generator)
        orders = [torch.randperm(len(level)) for level in shapes]
        customize_anchors(
            head,
            [
                [level[i] for i in order]
                for level, order in zip(shapes, orders, strict=True)
            ],
        )
        assert_equal(
            by_prior(head, feats),
            [
                [
                    level[:, order]
                    for level, order in zip(kind, orders, strict=True)
                ]
                for kind in before
            ],
        )

    def test_a_batch_is_its_images(self, name, form, data_dependent):
        head = build(name, form=form, data_dependent=data_dependent)
        feats = features(name, images=3)
        alone = [
            by_prior(head, [feat[i : i + 1] for feat in feats])
            for i in range(3)
        ]
        assert_equal(
            by_prior(head, feats),
            [
                [torch.cat(levels) for levels in zip(*kinds, strict=True)]
                for kinds in zip(*alone, strict=True)
            ],
        )


@every_head
@pytest.mark.parametrize('data_dependent', [False, True])
@pytest.mark.parametrize('rank', [3, None])
def test_both_forms_give_the_same(name, data_dependent, rank):
    head = build(name, data_dependent=data_dependent, rank=rank)
    feats = features(name)
    outputs = []
    for form in ('weights', 'mixture'):
        for part in head.anchor_functions().values():
            part.form = form
        outputs.append(by_prior(head, feats))
    assert_equal(*outputs)


@every_head
def test_residuals_have_the_rank(name):
    """100 priors of a level lie in rank + 1 dimensions.

    As published, boxes are not moved by what is known of them.
    """
    head = build(name, rank=2, box_function='published')
    torch.manual_seed(0)
    sizes = [
        [
            tuple(pair)
            for pair in (stride[0] * (1 + 7 * torch.rand(100, 2))).tolist()
        ]
        for stride in head.prior_generator.strides
    ]
    customize_anchors(head, sizes)
    for kind in by_prior(head.double(), [f.double() for f in features(name)]):
        for level in kind:
            rows = level.transpose(0, 1).flatten(1)
            rank = torch.linalg.matrix_rank(rows, rtol=1e-6)
            assert rank == 3  # theta*, and two of V


@every_head
@both_forms
def test_new_heads_have_one_function_for_all_priors(name, form):
    """W2 is 0; as published, nothing else tells priors apart."""
    head = build(name, spread=False, form=form, box_function='published')
    for kind in by_prior(head, features(name)):
        for level in kind:
            torch.testing.assert_close(level, level[:, :1].expand_as(level))


@every_head
@both_forms
@pytest.mark.parametrize('box_function', ['scaled', 'absolute', 'published'])
def test_a_stock_checkpoint_predicts_what_it_did(name, form, box_function):
    stock = build_stock(name)
    head = build(name, form=form, box_function=box_function)
    load_state_dict(head, copy.deepcopy(stock.state_dict()), strict=True)
    assert head.box_function == box_function
    feats = features(name)
    with torch.no_grad():
        assert_equal(head(feats), stock(feats))


@every_head
def test_a_stock_checkpoint_of_other_numbers_is_refused(name):
    shapes = list_shapes(build(name).prior_generator)
    stock_anchors = HEADS[name][1]
    head = MODELS.build(
        dict(
            type=f'Meta{name}Head',
            anchor_generator=dict(
                type='MetaAnchorGenerator',
                shapes=[level[:2] for level in shapes],
                strides=stock_anchors['strides'],
            ),
            **coder_of(name),
            **HEADS[name][0],
        )
    )
    with pytest.raises(ValueError, match='2 anchors of .* need'):
        load_state_dict(head, build_stock(name).state_dict(), strict=False)


@every_head
def test_own_checkpoints_load(name):
    """Twice the same outputs, and the unit of every level comes along."""
    head = build(name)
    box = (30.0, 20.0)
    other = build(name, anchors=dict(standard_box=box))
    load_state_dict(other, head.state_dict(), strict=True)
    feats = features(name)
    with torch.no_grad():
        assert_equal(head(feats), other(feats), tolerance=0)


@every_head
def test_a_checkpoint_with_limits_of_size_and_ratio(name):
    """As before hulls: every size with every ratio, at all levels."""
    head = build(name)
    low, high = torch.tensor([[-0.2, -1.0], [0.3, 0.5]])
    state = head.state_dict()
    state['shape_range'] = torch.stack([low, high])
    load_state_dict(head, state, strict=True)
    for row in head.shape_range:
        torch.testing.assert_close(row, reach_of_box(low, high))


@pytest.mark.parametrize('name', ['SSD', 'YOLOV3'])
def test_levels_have_trained_shapes_of_their_own(name):
    """Of a shape that only another level was trained with, each takes its own
    nearest, and detects with it what that one detects.
    """
    head = build(name)
    ranges = head.range_of_priors(jitter=False)
    assert len(ranges) == 3
    assert not torch.allclose(ranges[0], ranges[1])
    head.shape_range.copy_(ranges)
    codes = torch.tensor([[0.5, -0.9]])
    near = [nearest(codes, row) for row in ranges]
    assert all(not torch.equal(code, codes) for code in near)
    feats = features(name)
    with torch.no_grad():
        towers = head.towers(feats)
        far = head.last_layers(towers, [codes] * 3)
        close = head.last_layers(towers, near)
    if name == 'YOLOV3':  # all but the sizes of boxes
        far, close = (
            [[level[:, [0, 1, 4, 5, 6, 7]] for level in outputs[0]]]
            for outputs in (far, close)
        )
    assert_equal(far[:1], close[:1])


DIGITS = dict(
    Retina='digits/meta-retinanet_r18-w32_digits.py',
    RPN='meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
    SSD='meta_ssd/meta-ssd_r18-w32_digits.py',
    YOLOV3='meta_yolov3/meta-yolov3_r18-w32_digits.py',
)


@every_head
@pytest.mark.parametrize('chosen', ['trained', 'listed'])
def test_baked_is_live(
    load_config, atss_config, detect, name, chosen, monkeypatch
):
    cfg = atss_config if name == 'ATSS' else load_config(DIGITS[name])
    cfg.model.backbone.init_cfg = None
    test_cfg = cfg.model.test_cfg
    test_cfg.get('rcnn', test_cfg).score_thr = 0.0
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.eval()
    head = find_head(model)
    for part in head.anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
    if chosen == 'listed':
        customize_anchors(
            model,
            [
                [(3 * w, 2 * h), (w, 5 * h)]
                for w, h in head.prior_generator.strides
            ],
        )
    stock_cfg, state = bake_anchors(model, cfg)
    # Stock's SSDHead asks for a loss that it does not have.
    monkeypatch.setattr(SSDHead, 'loss_cls', None, raising=False)
    stock = MODELS.build(stock_cfg.model).eval()
    stock.load_state_dict(state)  # strictly
    for module in stock.modules():
        assert not isinstance(module, MetaHeadMixin)
        assert not type(module).__module__.startswith('mmdet_metaanchor')
    assert 'custom_imports' not in stock_cfg
    live, baked = detect(model), detect(stock)
    assert len(live) == len(baked) > 0
    torch.testing.assert_close(baked.scores, live.scores)
    assert torch.equal(baked.labels, live.labels)
    torch.testing.assert_close(baked.bboxes, live.bboxes, rtol=1e-5, atol=1e-3)


def test_the_head_of_the_page_trains(atss_config, data_samples):
    """With objects and without; every part of it learns but the scales."""
    model = MODELS.build(atss_config.model)
    model.init_weights()
    losses = model.loss(torch.randn(2, 3, 64, 64), data_samples)
    total, log = model.parse_losses(losses)
    total.backward()
    assert all(value.isfinite() for value in log.values())
    for name, param in model.bbox_head.named_parameters():
        # W2, which is 0, hides the hidden layer from the first step.
        hidden = 'code_layer' in name or 'basis_layer' in name
        learns = param.grad is not None and bool((param.grad != 0).any())
        assert learns == (not hidden and 'scales' not in name), name


@every_head
def test_wrong_number_of_feature_levels(name):
    with pytest.raises(ValueError, match='2 levels and priors of 3'):
        build(name)(features(name)[:2])
