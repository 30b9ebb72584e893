"""A checkpoint of the stock head, loaded: the inverse of baking."""

import copy
import logging
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config
from mmengine.runner.checkpoint import load_state_dict
from torch.nn.parallel import DistributedDataParallel

from mmdet_metaanchor import bake_anchors, customize_anchors

STRIDES = [8, 16, 32]
GRID = dict(
    octave_base_scale=4,
    scales_per_octave=3,
    ratios=[0.5, 1.0, 2.0],
    strides=STRIDES,
)
SIZES = dict(num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1)


def stock_head(**kwargs):
    head = MODELS.build(
        dict(
            type='RetinaHead',
            anchor_generator=dict(type='AnchorGenerator', **GRID),
            **{**SIZES, **kwargs},
        )
    )
    for param in head.parameters():  # filters that have nothing in common
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def meta_head(anchors=None, **kwargs):
    head = MODELS.build(
        dict(
            type='MetaRetinaHead',
            anchor_generator=dict(
                type='MetaAnchorGenerator', **{**GRID, **(anchors or {})}
            ),
            **{**SIZES, **kwargs},
        )
    )
    head.init_weights()
    return head.eval()


@pytest.fixture
def feats():
    return [torch.randn(2, 8, 64 // s, 96 // s) for s in STRIDES]


@pytest.fixture
def told(monkeypatch):
    """What is logged of a stock checkpoint, as (level, message)."""
    told = []
    monkeypatch.setattr(
        'mmdet_metaanchor.method.stock_weights.print_log',
        lambda message, logger, level: told.append((level, message)),
    )
    return told


@pytest.mark.parametrize('box_function', ['scaled', 'absolute', 'published'])
@pytest.mark.parametrize(
    'function',
    [
        dict(form='weights'),
        dict(form='mixture'),
        dict(rank=None),
        dict(rank=20),
        dict(data_dependent=True),
    ],
    ids=str,
)
@torch.no_grad()
def test_predicts_what_stock_predicts(feats, box_function, function):
    stock = stock_head()
    head = meta_head(box_function=box_function, anchor_function=function)
    load_state_dict(head, stock.state_dict(), strict=True)
    assert head.box_function == box_function
    for ours, theirs in zip(head(feats), stock(feats), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            # relative to the largest: sums of 72 products cancel
            torch.testing.assert_close(
                a, b, rtol=0, atol=1e-5 * float(b.abs().max())
            )


@torch.no_grad()
def test_means_and_variances_of_the_coder(feats):
    coder = dict(
        type='DeltaXYWHBBoxCoder',
        target_means=[0.1, -0.1, 0.2, 0.3],
        target_stds=[0.1, 0.1, 0.2, 0.2],
    )
    stock = stock_head(bbox_coder=coder)
    head = meta_head(bbox_coder=coder, box_function='absolute')
    load_state_dict(head, stock.state_dict(), strict=True)
    for a, b in zip(head(feats)[1], stock(feats)[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_trained_range_is_that_of_the_anchors():
    head = meta_head(dict(jitter=0.5))
    load_state_dict(head, stock_head().state_dict(), strict=True)
    head.prior_generator.jitter = 0.0
    torch.testing.assert_close(
        head.shape_range, head.prior_generator.shape_range()[:1]
    )


@torch.no_grad()
def test_after_a_state_of_other_shapes(feats):
    """A head in eval mode takes priors for those of its trained range."""
    stock, head = stock_head(), meta_head()
    other = meta_head(dict(scales_per_octave=1, ratios=[1.0]))
    other._note_shapes()
    load_state_dict(head, other.state_dict(), strict=True)
    head(feats)
    load_state_dict(head, stock.state_dict(), strict=True)
    for a, b in zip(head(feats)[1], stock(feats)[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('box_function', ['absolute', 'published'])
@torch.no_grad()
def test_after_other_settings(feats, box_function):
    """The settings of now, not those that the head was built with."""
    stock, head = stock_head(), meta_head()
    head.box_function = box_function
    head.prior_generator.standard_box = (10.0, 20.0)
    head.load_state_dict(stock.state_dict())
    assert head.box_function == box_function
    assert head.prior_generator.standard_box == (10.0, 20.0)
    for ours, theirs in zip(head(feats), stock(feats), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_twice_is_the_same(feats):
    """Whatever the parameters were: nothing is left to chance."""
    state = stock_head().state_dict()
    heads = [meta_head(), meta_head()]
    for head in heads:
        load_state_dict(head, state, strict=True)
        customize_anchors(head, dict(scales=[4.5], ratios=[0.7]))
    for a, b in zip(*(head(feats)[1] for head in heads), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('rank', [8, None])
def test_learns_at_its_usual_pace(rank):
    """Rows of W11 and U are as long as without a stock checkpoint."""
    head, fresh = meta_head(anchor_function=dict(rank=rank)), meta_head()
    load_state_dict(head, stock_head().state_dict(), strict=True)
    for name, part in head.anchor_functions().items():
        torch.testing.assert_close(
            part.code_layer.weight.norm(dim=1),
            torch.full((128,), 3**-0.5),
        )
        if rank:
            usual = fresh.anchor_functions()[name].basis_layer.weight
            torch.testing.assert_close(
                part.basis_layer.weight.norm(), usual.norm(), rtol=0.2, atol=0
            )


def test_more_anchors_than_the_rank_holds(told):
    """9 filters lie in 8 dimensions around a mean; 3 are not enough."""
    head = meta_head(box_function='published', anchor_function=dict(rank=3))
    stock = stock_head()
    load_state_dict(head, stock.state_dict(), strict=True)
    ((level, message),) = told
    assert level == logging.WARNING
    said = re.search(r'with its filters within (\S+) of', message)
    codes = head.prior_generator.codes()[0]
    errors = []
    for name, part in head.anchor_functions().items():
        weight, bias = part.as_convolution(*part.kernels_and_biases(codes))
        wanted = [
            stock.get_parameter(f'{name}.{end}') for end in ('weight', 'bias')
        ]
        error = max(
            (a - b).abs().max()
            for a, b in zip((weight, bias), wanted, strict=True)
        )
        errors.append(float(error / max(w.abs().max() for w in wanted)))
    assert max(errors) > 0.1
    assert max(errors) == pytest.approx(float(said[1]), rel=0.05)  # 2 digits


def test_says_which_anchors_are_assumed(told):
    load_state_dict(meta_head(), stock_head().state_dict(), strict=True)
    ((level, message),) = told
    assert level == logging.INFO
    # A side of 4 strides of 8 px, and 32 / sqrt 2, 32 * sqrt 2
    assert '(w, h) = (45.3, 22.6), ' in message
    assert '(32.0, 32.0)' in message
    assert 'px at stride 8 px' in message


@pytest.mark.parametrize(
    ('stock', 'anchors', 'message'),
    [
        # 9 priors of 3 classes are 27 filters, of 2 are 18, 3 priors 9.
        ({}, dict(scales_per_octave=1), r'\(27, 8, 3, 3\).*\(9, 8, 3, 3\)'),
        (dict(num_classes=2), {}, r'\(18, 8, 3, 3\).*\(27, 8, 3, 3\)'),
        (dict(feat_channels=4), {}, r'\(27, 4, 3, 3\).*\(27, 8, 3, 3\)'),
    ],
)
@pytest.mark.parametrize('strict', [True, False])
def test_refuses_others(stock, anchors, message, strict):
    """Even where MMEngine only logs what does not fit."""
    with pytest.raises(ValueError, match=f'retina_cls.weight.*{message}'):
        load_state_dict(
            meta_head(anchors), stock_head(**stock).state_dict(), strict
        )


def test_refuses_anchors_that_differ_between_levels():
    shapes = [[(4.0 * s, 4.0 * s + s / 2**i)] for i, s in enumerate(STRIDES)]
    head = meta_head(dict(shapes=shapes))
    with pytest.raises(ValueError, match='must grow with the stride'):
        load_state_dict(head, stock_head().state_dict(), strict=True)


class TestDetectors:
    """From a stock detector and back."""

    @pytest.mark.parametrize('rank', [8, None])
    @pytest.mark.parametrize(
        ('stock_config', 'config'),
        [
            (
                'custom/retinanet_r18-w32_custom.py',
                'custom/meta-retinanet_r18-w32_custom.py',
            ),
            (
                'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
                'meta_retinanet/meta-retinanet_r50_fpn_3x3_1x_coco.py',
            ),
        ],
        ids=['r18', 'r50'],
    )
    def test_in_and_out(self, load_config, detect, stock_config, config, rank):
        if stock_config.startswith('mmdet::'):
            stock_cfg = get_config(stock_config)
        else:
            stock_cfg = load_config(stock_config)
        cfg = load_config(config)
        cfg.model.bbox_head.anchor_function = dict(rank=rank)
        for each in (cfg, stock_cfg):
            each.model.backbone.init_cfg = None
            each.model.test_cfg.score_thr = 0.3
        stock = MODELS.build(stock_cfg.model).eval()
        for part in (stock.bbox_head.retina_cls, stock.bbox_head.retina_reg):
            torch.nn.init.normal_(part.weight, std=0.05)
            torch.nn.init.normal_(part.bias, std=0.05)
        model = MODELS.build(cfg.model).eval()
        state = copy.deepcopy(stock.state_dict())
        load_state_dict(model, state, strict=True)
        ours, theirs = detect(model), detect(stock)
        assert len(ours) > 10
        assert torch.equal(ours.labels, theirs.labels)
        torch.testing.assert_close(
            ours.scores, theirs.scores, rtol=0, atol=1e-5
        )
        torch.testing.assert_close(  # 1e-5 of the image's width
            ours.bboxes, theirs.bboxes, rtol=0, atol=1.28e-3
        )
        _, baked = bake_anchors(model, cfg)
        assert list(baked) == list(stock.state_dict())
        for name, value in stock.state_dict().items():
            torch.testing.assert_close(
                baked[name], value, rtol=0, atol=1e-6, msg=name
            )


class TestRanks:
    """W2 of a checkpoint and of a config."""

    def test_a_full_one_is_taken(self, feats):
        full = meta_head(anchor_function=dict(rank=None))
        for part in full.anchor_functions().values():
            torch.nn.init.normal_(part.residual_layer.weight)
        head = meta_head()
        optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
        load_state_dict(head, full.state_dict(), strict=True)
        for a, b in zip(full(feats), head(feats), strict=True):
            torch.testing.assert_close(a, b)
        # An optimizer made before still trains it.
        before = head.retina_cls.residual_layer.weight.clone()
        head(feats)[0][0].sum().backward()
        optimizer.step()
        assert not torch.equal(before, head.retina_cls.residual_layer.weight)

    def test_a_full_one_is_taken_with_a_warning(self, monkeypatch):
        """A parameter is gone: what has listed it cannot train on."""
        told = []
        monkeypatch.setattr(
            'mmdet_metaanchor.method.anchor_weights.print_log',
            lambda message, logger, level: told.append((level, message)),
        )
        full = meta_head(anchor_function=dict(rank=None))
        meta_head().load_state_dict(full.state_dict())
        assert len(told) == 2  # for classes and for boxes
        for level, message in told:
            assert level == logging.WARNING
            assert 'to train on, set anchor_function=dict(rank=None)' in (
                message
            )

    @pytest.mark.parametrize(
        ('held', 'config', 'message'),
        [
            (8, None, r'rank 8 .* says None: set .*rank=8'),
            (8, 4, r'rank 8 .* says 4: set .*rank=8'),
        ],
    )
    def test_others_are_refused(self, held, config, message):
        other = meta_head(anchor_function=dict(rank=held))
        head = meta_head(anchor_function=dict(rank=config))
        with pytest.raises(ValueError, match=message):
            load_state_dict(head, other.state_dict(), strict=False)

    def test_a_full_one_under_ddp(self, feats):
        """It has wrapped the parameters, whose shapes are final then."""
        full = meta_head(anchor_function=dict(rank=None)).state_dict()
        torch.distributed.init_process_group(
            'gloo', store=torch.distributed.HashStore(), rank=0, world_size=1
        )
        try:
            head = meta_head().train()
            with pytest.raises(ValueError, match=r'says 8: set .*rank=None'):
                load_state_dict(head, full, strict=True)
            load_state_dict(head.eval(), full, strict=True)  # to detect
            head = meta_head(anchor_function=dict(rank=None)).train()
            model = DistributedDataParallel(head)
            load_state_dict(head, full, strict=True)
            sum(out.sum() for outs in model(feats) for out in outs).backward()
        finally:
            torch.distributed.destroy_process_group()
