"""MetaRetinaHead beside RetinaHead."""

import io
import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from torch.utils.checkpoint import checkpoint

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.method.shape_range import LARGE, SMALL, TALL, WIDE

STRIDES = [8, 16, 32]
ANCHORS = dict(strides=STRIDES, scales=[4], ratios=[0.5, 1.0, 2.0])


def build_stock(**kwargs):
    """The stock head of the size of ``build_head``."""
    return MODELS.build(
        dict(
            type='RetinaHead',
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            **kwargs,
        )
    )


def scores_and_deltas(head, feats):
    with torch.no_grad():
        return head(feats)


def gradients(head, feats, data_samples):
    """Of the loss under the draw of one seed, by parameter."""
    torch.manual_seed(0)
    head.zero_grad()
    losses = head.loss(feats, data_samples)
    sum(sum(loss) for loss in losses.values()).backward()
    return {name: param.grad for name, param in head.named_parameters()}


def shapes_alone(generator):
    """Sets of one prior per level each, in the order of ``generator``."""
    for index in range(generator.num_base_priors[0]):
        yield [
            [tuple(shapes[index].tolist())] for shapes in generator.base_shapes
        ]


@pytest.mark.parametrize('box_function', ['scaled', 'absolute'])
@pytest.mark.parametrize('data_dependent', [False, True])
def test_a_set_predicts_what_its_members_predict(
    build_head, feats, data_dependent, box_function
):
    head = build_head(
        anchor_function=dict(data_dependent=data_dependent),
        box_function=box_function,
    ).eval()
    together = scores_and_deltas(head, feats)
    alone = []
    for shapes in shapes_alone(head.prior_generator):
        customize_anchors(head, shapes)
        alone.append(scores_and_deltas(head, feats))
    for kind in range(2):
        for level in range(3):
            torch.testing.assert_close(
                together[kind][level],
                torch.cat([out[kind][level] for out in alone], dim=1),
                rtol=0,
                atol=1e-5,
            )


def test_members_differ(build_head, feats):
    """The law above would hold for a head that ignores its priors."""
    head = build_head().eval()
    scores, deltas = scores_and_deltas(head, feats)
    for out, channels in ((scores[0], 3), (deltas[0], 4)):
        priors = out.reshape(2, 9, channels, 8, 8)
        for i in range(9):
            for j in range(i):
                assert not torch.allclose(priors[:, i], priors[:, j])


def test_permuting_priors_permutes_channels(build_head, feats):
    head = build_head().eval()
    before = scores_and_deltas(head, feats)
    order = torch.randperm(9)
    customize_anchors(
        head,
        [
            [tuple(shapes[i].tolist()) for i in order]
            for shapes in head.prior_generator.base_shapes
        ],
    )
    after = scores_and_deltas(head, feats)
    for kind, channels in ((0, 3), (1, 4)):
        for old, new in zip(before[kind], after[kind], strict=True):
            old = old.reshape(2, 9, channels, *old.shape[2:])[:, order]
            torch.testing.assert_close(
                new.reshape_as(old), old, rtol=0, atol=1e-5
            )


def decoded(head, feats, number=9):
    """(N, cells, anchors, 4) boxes (x1, y1, x2, y2) in px, and anchors."""
    _, deltas = scores_and_deltas(head, feats)
    sizes = [feat.shape[-2:] for feat in feats]
    grids = head.prior_generator.grid_priors(sizes, device='cpu')
    for out, priors in zip(deltas, grids, strict=True):
        # (N, A * 4, H, W) as the head makes it a list of boxes
        out = out.permute(0, 2, 3, 1).reshape(2, -1, 4)
        boxes = head.bbox_coder.decode(priors.expand_as(out), out)
        yield boxes.reshape(2, -1, number, 4), priors.reshape(-1, number, 4)


@pytest.mark.parametrize('coder', ['DeltaXYWHBBoxCoder', 'TBLRBBoxCoder'])
def test_absolute_boxes_do_not_depend_on_the_anchor(build_head, feats, coder):
    """With R = 0 the anchors of a cell predict one box."""
    head = build_head(
        residual_std=0, box_function='absolute', bbox_coder=dict(type=coder)
    ).eval()
    torch.nn.init.normal_(head.retina_reg.shared.bias, std=0.1)
    for boxes, _ in decoded(head, feats):
        torch.testing.assert_close(
            boxes, boxes[:, :, :1].expand_as(boxes), rtol=1e-4, atol=1e-2
        )
        assert boxes[:, 0].std() > 1  # they are boxes, and no constant


def test_scaled_boxes_have_one_centre_and_sizes_of_the_anchor(
    build_head, feats
):
    """With R = 0; sizes are one multiple of those of the anchors."""
    head = build_head(residual_std=0).eval()
    torch.nn.init.normal_(head.retina_reg.shared.bias, std=0.1)
    for boxes, anchors in decoded(head, feats):
        centers = (boxes[..., :2] + boxes[..., 2:]) / 2
        ratios = (boxes[..., 2:] - boxes[..., :2]) / (
            anchors[..., 2:] - anchors[..., :2]
        )
        for values, atol in ((centers, 1e-2), (ratios, 1e-4)):
            torch.testing.assert_close(
                values, values[:, :, :1].expand_as(values), rtol=0, atol=atol
            )
        assert not torch.allclose(ratios[0, 0, 0], ratios.new_ones(2))


@pytest.mark.parametrize('data_dependent', [False, True])
@pytest.mark.parametrize('box_function', ['published', 'scaled', 'absolute'])
def test_codes_stay_where_they_are(
    build_head, feats, box_function, data_dependent
):
    """On the CPU; the weights and features are on a device of their own."""
    head = build_head(
        box_function=box_function,
        anchor_function=dict(data_dependent=data_dependent),
    ).to('meta')
    for outputs, channels in zip(
        head([feat.to('meta') for feat in feats]), (3, 4), strict=True
    ):
        for out, feat in zip(outputs, feats, strict=True):
            assert out.is_meta
            assert out.shape == (2, 9 * channels, *feat.shape[2:])


def test_a_wrong_word_or_coder_is_refused(build_head):
    with pytest.raises(ValueError, match="box_function must be .*'none'"):
        build_head(box_function='none')
    coder = dict(type='LegacyDeltaXYWHBBoxCoder')
    with pytest.raises(ValueError, match='LegacyDeltaXYWHBBoxCoder'):
        build_head(bbox_coder=coder)
    build_head(bbox_coder=coder, box_function='published')


BOX_FUNCTIONS = ['published', 'scaled', 'absolute']


@pytest.mark.parametrize('configured', BOX_FUNCTIONS)
@pytest.mark.parametrize('trained', BOX_FUNCTIONS)
def test_the_checkpoint_decides_of_the_box_function(
    build_head, feats, data_samples, trained, configured
):
    trained = build_head(box_function=trained).eval()
    head = build_head(box_function=configured).eval()
    head.load_state_dict(trained.state_dict())
    assert head.box_function == trained.box_function
    for ours, theirs in zip(head(feats), trained(feats), strict=True):
        torch.testing.assert_close(ours, theirs)
    added = head.state_dict().keys() ^ trained.state_dict().keys()
    assert all(name.endswith('.bends') for name in added)
    assert not any(head.state_dict()[name].any() for name in added)
    grads = gradients(head.train(), feats, data_samples)
    assert all(grad is not None for grad in grads.values())


def test_a_checkpoint_of_before_predicts_as_before(build_head, feats):
    """Version 0.2 has the paper's form, and says nothing of it."""
    trained = build_head(box_function='published').eval()
    state = trained.state_dict()
    for name in ('box_form', 'shape_range'):
        del state[name]
    head = build_head().eval()
    head.load_state_dict(state)
    assert head.box_function == 'published'
    for ours, theirs in zip(head(feats), trained(feats), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert head.shape_range.isnan().all()
    again = build_head().eval()
    again.load_state_dict(head.state_dict())
    assert again.box_function == 'published'


def test_an_unknown_form_is_refused(build_head):
    state = build_head().state_dict()
    state['box_form'] = torch.tensor(7)
    with pytest.raises(ValueError, match='box_form of the checkpoint is 7'):
        build_head().load_state_dict(state)


def test_the_box_functions_differ(build_head, feats):
    """The laws above would hold if the option did nothing."""
    head = build_head().eval()
    outputs = []
    for name in BOX_FUNCTIONS:
        head.box_function = name
        outputs.append(head(feats))
    for i in range(3):
        torch.testing.assert_close(outputs[i][0], outputs[0][0])
        for j in range(i):
            assert not torch.allclose(outputs[i][1][0], outputs[j][1][0])


class TestTrainedShapes:
    """What a checkpoint knows of the shapes that were trained."""

    # (log size, log ratio) relative to the standard box, by the class's own
    # formula; sizes of ANCHORS are 4 strides, ratios 1/2 to 2, and the
    # jitter moves log sizes by 0.1, log ratios by 0.2.
    anchors = dict(type='MetaAnchorGenerator', **ANCHORS, jitter=0.1)

    @pytest.fixture
    def trained(self, build_head, feats, data_samples):
        head = build_head(anchor_generator=self.anchors)
        assert head.shape_range.isnan().all()
        head.loss(feats, data_samples)
        return head

    def test_training_notes_the_range(self, trained):
        unit = trained.prior_generator.units[0].log()  # (log AH, log AW)
        size = math.log(32) - unit.mean().item()
        ratio = (unit[1] - unit[0]).item()
        expected = [
            0.1 - size,
            math.log(2) + 0.2 - ratio,
            size + 0.1,
            math.log(2) + 0.2 + ratio,
        ]
        torch.testing.assert_close(
            trained.shape_range[0, [SMALL, WIDE, LARGE, TALL]],
            torch.tensor(expected),
            rtol=0,
            atol=1e-5,
        )

    def test_other_anchors_widen_it(self, trained, feats, data_samples):
        before = trained.shape_range.clone()
        customize_anchors(trained, dict(scales=[8], ratios=[1.0]))
        trained.eval().loss(feats, data_samples)
        assert torch.equal(trained.shape_range, before)
        trained.train().loss(feats, data_samples)
        # log 8 - log 4 farther than the size of before
        gain = (trained.shape_range - before)[0]
        assert gain[LARGE] == pytest.approx(math.log(2), abs=1e-5)
        assert gain[[SMALL, WIDE, TALL]].tolist() == [0, 0, 0]

    @pytest.mark.parametrize(
        'anchors, number, farthest',
        [
            (dict(scales=[4], ratios=[0.5, 2.0]), 0, ''),
            # The jitter reaches e^0.1 = 1.105 times the size.
            (dict(scales=[4.4], ratios=[1.0]), 0, ''),
            # 5 x 8 px; 5 is beyond 1.105 x 4, 3 below 4 / 1.105
            (
                dict(scales=[5], ratios=[1.0]),
                3,
                r'\(40.0, 40.0\) px at stride 8',
            ),
            (dict(scales=[4, 3], ratios=[1.0]), 3, r'\(24.0, 24.0\)'),
            # ratio 4: 2 x 32 px high, 32 / 2 px wide
            (dict(scales=[4], ratios=[1.0, 4.0]), 3, r'\(16.0, 64.0\)'),
        ],
    )
    def test_others_are_warned_of(
        self, trained, build_head, warnings, anchors, number, farthest
    ):
        customize_anchors(trained, anchors)
        assert len(warnings) == bool(number)
        loading = build_head(
            anchor_generator=dict(
                type='MetaAnchorGenerator', strides=STRIDES, **anchors
            )
        )
        loading.load_state_dict(trained.state_dict())
        assert len(warnings) == 2 * bool(number)
        for text in warnings:
            assert re.match(f'{number} of ', text)
            assert re.search(farthest, text)
            # 32 px / 1.105 and x 1.105, e^-0.2 / 2 and 2 e^0.2
            assert 'from 29.0 to 35.4 px' in text
            assert 'from 0.41 to 2.44' in text

    @pytest.mark.parametrize('box_function', ['scaled', 'absolute'])
    @pytest.mark.parametrize(
        'beyond, nearest',
        [
            # The jitter reaches e^0.2 = 1.22 times a ratio of 2.
            (dict(scales=[4], ratios=[9.0]), (4, 2 * math.exp(0.2))),
            (dict(scales=[8], ratios=[1.0]), (4 * math.exp(0.1), 1)),
            (
                # A draw that lowers the ratio most leaves the size: the sides
                # move by 0.1 at most.
                dict(scales=[3], ratios=[0.3]),
                (4, 0.5 / math.exp(0.2)),
            ),
        ],
    )
    def test_one_beyond_detects_what_the_nearest_detects(
        self, build_head, trained, feats, box_function, beyond, nearest
    ):
        head = build_head(
            # Small deltas, which the coder does not clip.
            residual_std=0.1,
            anchor_generator=self.anchors,
            box_function=box_function,
        ).eval()
        head.shape_range.copy_(trained.shape_range)
        scale, ratio = nearest
        found = []
        for anchors in (beyond, dict(scales=[scale], ratios=[ratio])):
            customize_anchors(head, anchors)
            boxes = [b for b, _ in decoded(head, feats, number=1)]
            found.append((scores_and_deltas(head, feats)[0], boxes))
        for kind in range(2):
            for ours, theirs in zip(*[f[kind] for f in found], strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)

    @pytest.mark.parametrize('box_function', BOX_FUNCTIONS)
    def test_one_within_is_its_own(
        self, build_head, trained, feats, box_function
    ):
        head = build_head(
            anchor_generator=self.anchors, box_function=box_function
        ).eval()
        customize_anchors(head, dict(scales=[4.2], ratios=[0.45, 1.7]))
        free = head(feats)
        head.shape_range.copy_(trained.shape_range)
        for ours, theirs in zip(head(feats), free, strict=True):
            assert all(map(torch.equal, ours, theirs))

    def test_as_published_one_beyond_is_extrapolated(
        self, build_head, trained, feats
    ):
        head = build_head(box_function='published').eval()
        customize_anchors(head, dict(scales=[4], ratios=[9.0]))
        free = head(feats)
        head.shape_range.copy_(trained.shape_range)
        assert torch.equal(head(feats)[1][0], free[1][0])

    def test_nothing_is_said_where_it_is_not_known(self, build_head, warnings):
        customize_anchors(build_head(), dict(scales=[100], ratios=[9.0]))
        assert not warnings


def test_parameters_do_not_depend_on_the_priors(build_head):
    def state(**anchors):
        generator = dict(type='MetaAnchorGenerator', strides=STRIDES)
        head = build_head(anchor_generator={**generator, **anchors})
        return {k: v.shape for k, v in head.state_dict().items()}

    few = state(scales=[4], ratios=[1.0])
    assert few == state(scales=[2, 3, 4, 5], ratios=[0.2, 1.0, 5.0])
    assert not any('anchors' in key for key in few)


def test_with_w2_zero_it_is_a_retina_head_of_equal_filters(build_head, feats):
    head = build_head(residual_std=0, box_function='published').eval()
    stock = build_stock(
        anchor_generator=dict(type='AnchorGenerator', **ANCHORS)
    )
    customize_anchors(head, ANCHORS)
    stock.cls_convs.load_state_dict(head.cls_convs.state_dict())
    stock.reg_convs.load_state_dict(head.reg_convs.state_dict())
    for name in ('retina_cls', 'retina_reg'):
        ours, theirs = getattr(head, name).shared, getattr(stock, name)
        theirs.weight.data = ours.weight.data.repeat(3, 1, 1, 1)
        theirs.bias.data = ours.bias.data.repeat(3)
    ours, theirs = (
        scores_and_deltas(head, feats),
        scores_and_deltas(stock, feats),
    )
    for kind in range(2):
        for a, b in zip(ours[kind], theirs[kind], strict=True):
            torch.testing.assert_close(a, b)


def test_stock_initialisation_reaches_the_shared_function(build_head):
    head = build_head()
    head.init_weights()
    # bias_prob = 0.01 of RetinaHead's init_cfg: -log(0.99 / 0.01) = -4.595
    assert head.retina_cls.shared.bias.tolist() == pytest.approx(
        [-4.595] * 3, abs=1e-3
    )
    assert head.retina_reg.shared.bias.count_nonzero() == 0
    for generator in (head.retina_cls, head.retina_reg):
        assert generator.shared.weight.std() < 0.02
        assert generator.residual_layer.weight.count_nonzero() == 0
        assert generator.code_layer.weight.std() > 0.1


class TestTraining:
    def test_one_backward_pass_reaches_every_parameter(
        self, build_head, feats, data_samples
    ):
        head = build_head()
        losses = head.loss(feats, data_samples)
        sum(sum(loss) for loss in losses.values()).backward()
        for name, param in head.named_parameters():
            assert param.grad.abs().sum() > 0, name

    def test_no_ground_truth_at_all(self, build_head, feats, data_samples):
        head = build_head()
        losses = head.loss(feats, [data_samples[1], data_samples[1]])
        total = sum(sum(loss) for loss in losses.values())
        total.backward()
        assert total.isfinite()

    @pytest.mark.parametrize(
        'method, number', [('loss', 1), ('loss_and_predict', 2)]
    )
    def test_forward_targets_and_boxes_see_one_draw(
        self, build_head, feats, data_samples, monkeypatch, method, number
    ):
        head = build_head()
        asked, grids = [], []
        codes, grid = (
            head.prior_generator.codes,
            head.prior_generator.grid_priors,
        )

        def spy_codes():
            asked.append(codes()[0])
            return codes()

        def spy_grid(*args, **kwargs):
            boxes = grid(*args, **kwargs)[0][:9]
            box = torch.tensor(head.prior_generator.standard_box)
            sides = (boxes[:, 2:] - boxes[:, :2]).flip(1)
            grids.append((sides / box).log())
            return grid(*args, **kwargs)

        at_rest = codes()[0]
        monkeypatch.setattr(head.prior_generator, 'codes', spy_codes)
        monkeypatch.setattr(head.prior_generator, 'grid_priors', spy_grid)
        # MMDetection asks for the codes in forward, and for the grid when it
        # makes the targets, and again when it predicts.
        getattr(head, method)(feats, data_samples)
        assert len(grids) == number
        for seen in grids:
            assert torch.allclose(asked[-1], seen, atol=1e-4)
            assert not torch.allclose(seen, at_rest, atol=1e-2)
        assert torch.equal(
            head.prior_generator.base_anchors[0],
            grid([(1, 1)] * 3, device='cpu')[0],
        )

    def test_activation_checkpointing_recomputes_under_the_draw(
        self, build_head, feats, data_samples
    ):
        head = build_head()
        plain = gradients(head, feats, data_samples)
        # As MMEngine's turn_on_activation_checkpointing wraps a module.
        head.forward = partial(checkpoint, head.forward, use_reentrant=False)
        again = gradients(head, feats, data_samples)
        for name, gradient in plain.items():
            torch.testing.assert_close(again[name], gradient)

    def test_jitter_falls_at_the_end_of_a_training(
        self, build_head, feats, data_samples, monkeypatch
    ):
        """By default over the last third of what MMEngine's runner does."""
        head, asked, moves = build_head(), [], []
        codes = head.prior_generator.codes
        at_rest = codes()[0]
        monkeypatch.setattr(
            head.prior_generator,
            'codes',
            lambda: asked.append(codes()[0]) or codes(),
        )
        hub = MessageHub.get_current_instance()
        for iteration in (0, 9):
            hub.update_info_dict(dict(iter=iteration, max_iters=10))
            torch.manual_seed(0)
            head.loss(feats, data_samples)
            moves.append(asked[-1] - at_rest)
        assert moves[0].abs().max() > 0.1
        # (1 - 9 / 10) / (1 / 3) = 0.3
        torch.testing.assert_close(moves[1], 0.3 * moves[0], rtol=0, atol=1e-4)

    def test_jitter_is_off_in_evaluation(
        self, build_head, feats, data_samples
    ):
        head = build_head().eval()
        first = head.loss(feats, data_samples)
        again = head.loss(feats, data_samples)
        for name in first:
            assert torch.equal(
                torch.stack(first[name]), torch.stack(again[name])
            )
        head.train()
        moved = head.loss(feats, data_samples)
        assert not torch.equal(
            torch.stack(first['loss_cls']), torch.stack(moved['loss_cls'])
        )

    def test_repeats_with_the_seed(self, build_head, feats, data_samples):
        head, losses = build_head(), []
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            losses.append(sum(head.loss(feats, data_samples)['loss_cls']))
        assert losses[0] == losses[2] != losses[1]

    def test_bfloat16_autocast(self, build_head, feats, data_samples):
        head = build_head()
        with torch.autocast('cpu', torch.bfloat16):
            losses = head.loss(feats, data_samples)
            total = sum(sum(loss) for loss in losses.values())
        total.backward()
        assert total.isfinite()
        for param in head.parameters():
            assert param.grad.dtype == torch.float32
            assert param.grad.isfinite().all()

    def test_levels_may_differ_in_number(
        self, build_head, feats, data_samples
    ):
        head = build_head(
            anchor_generator=dict(
                type='MetaAnchorGenerator',
                priors=dict(
                    type='SSDAnchorGenerator',
                    strides=STRIDES,
                    ratios=[[2], [2, 3], [2]],
                    min_sizes=[20, 40, 80],
                    max_sizes=[40, 80, 160],
                ),
            )
        )
        losses = head.loss(feats, data_samples)
        assert all(loss.isfinite() for loss in losses['loss_cls'])
        scores, _ = head(feats)
        # 4, 6 and 4 priors per level, 3 classes
        assert [score.shape[1] for score in scores] == [12, 18, 12]
        head.eval()
        with torch.no_grad():
            assert len(head.predict(feats, data_samples)) == 2

    @pytest.mark.parametrize(
        'loss_cls',
        [
            dict(type='FocalLoss', use_sigmoid=True),
            dict(type='CrossEntropyLoss', use_sigmoid=False),
        ],
    )
    def test_options_of_the_stock_head(
        self, build_head, feats, data_samples, loss_cls
    ):
        head = build_head(
            stacked_convs=0,
            loss_cls=loss_cls,
            reg_decoded_bbox=True,
            loss_bbox=dict(type='GIoULoss'),
        )
        losses = head.loss(feats, data_samples)
        assert sum(losses['loss_bbox']).isfinite()
        # softmax adds a background channel
        assert head.retina_cls.shared.out_channels == (
            3 if loss_cls['use_sigmoid'] else 4
        )


class TestStandardBox:
    def test_travels_in_the_checkpoint_and_the_anchors_do_not(
        self, build_head, feats
    ):
        trained = build_head().eval()
        file = io.BytesIO()
        torch.save(get_state_dict(trained), file)
        file.seek(0)
        other = build_head(
            anchor_generator=dict(
                type='MetaAnchorGenerator',
                strides=STRIDES,
                scales=[2, 5],
                ratios=[1.0],
                standard_box=(7, 9),
            )
        ).eval()
        load_state_dict(other, torch.load(file), strict=True)
        box = trained.prior_generator.standard_box
        assert other.prior_generator.standard_box == box
        assert other.prior_generator.num_base_priors == [2, 2, 2]
        # The same shapes give the same predictions as in the trained head.
        customize_anchors(
            trained,
            [
                [tuple(size) for size in level.tolist()]
                for level in other.prior_generator.base_shapes
            ],
        )
        for kind in range(2):
            for a, b in zip(
                scores_and_deltas(trained, feats)[kind],
                scores_and_deltas(other, feats)[kind],
                strict=True,
            ):
                assert torch.equal(a, b)

    def test_survives_a_half_precision_model(self, build_head):
        trained = build_head()
        box = trained.prior_generator.standard_box
        other = build_head().half()
        other.prior_generator.standard_box = (1, 1)
        other.load_state_dict(trained.state_dict())
        assert other.prior_generator.standard_box == box

    def test_bad_value_in_a_checkpoint(self, build_head):
        state = build_head().state_dict()
        state['standard_box'] = torch.tensor([0.0, 44.0])
        with pytest.raises(ValueError, match='0.0, 44.0'):
            build_head().load_state_dict(state)

    def test_holds_for_other_strides(self, build_head, feats):
        """Anchors of the same sizes in strides have the same codes.

        So trained on strides of 8, 16 and 32 px and loaded onto 4, 8 and 16,
        the same features give the same outputs.
        """
        trained = build_head().eval()
        generator = dict(
            type='MetaAnchorGenerator',
            strides=[4, 8, 16],
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
        )
        other = build_head(anchor_generator=generator).eval()
        other.load_state_dict(trained.state_dict())
        for ours, theirs in zip(
            scores_and_deltas(other, feats),
            scores_and_deltas(trained, feats),
            strict=True,
        ):
            assert all(map(torch.equal, ours, theirs))

    def test_a_checkpoint_of_version_0_1_predicts_as_it_did(self):
        """The file holds a head, features and outputs of that version.

        A head of two classes, 4 channels, strides of 8 and 16 px, made with
        scales 3 and 4.5, ratios 1/2, 1 and 3.
        """
        old = torch.load(Path(__file__).parent / 'retina-0.1.pth')
        assert 'standard_box' in old['state_dict']
        head = MODELS.build(
            dict(
                type='MetaRetinaHead',
                num_classes=2,
                in_channels=4,
                feat_channels=4,
                stacked_convs=1,
                anchor_function=dict(hidden_channels=4),
                anchor_generator=dict(
                    type='MetaAnchorGenerator',
                    strides=[8, 16],
                    scales=[3, 4.5],
                    ratios=[0.5, 1.0, 3.0],
                    standard_box=(1, 1),
                ),
            )
        ).eval()
        load_state_dict(head, old['state_dict'], strict=True)
        outputs = scores_and_deltas(head, old['feats'])
        for ours, theirs in zip(
            outputs, (old['scores'], old['deltas']), strict=True
        ):
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b)


def test_stock_anchor_generator_is_refused(build_head):
    with pytest.raises(TypeError, match='got AnchorGenerator'):
        build_head(anchor_generator=dict(type='AnchorGenerator', **ANCHORS))


def test_default_anchors_are_those_of_retina_head():
    head = MODELS.build(
        dict(type='MetaRetinaHead', num_classes=2, in_channels=4)
    )
    stock = MODELS.build(dict(type='RetinaHead', num_classes=2, in_channels=4))
    for ours, theirs in zip(
        head.prior_generator.base_anchors,
        stock.prior_generator.base_anchors,
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_set_prior_generator_checks_strides(build_head):
    other = TASK_UTILS.build(
        dict(
            type='MetaAnchorGenerator', strides=[4, 8], scales=[1], ratios=[1]
        )
    )
    with pytest.raises(ValueError, match=r'3 levels .* 2 of strides'):
        build_head().set_prior_generator(other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu(build_head, feats, data_samples):
    head = build_head().cuda()
    feats = [feat.cuda() for feat in feats]
    samples = [sample.cuda() for sample in data_samples]
    losses = head.loss(feats, samples)
    sum(sum(loss) for loss in losses.values()).backward()
    head.eval()
    with torch.no_grad():
        head.predict(feats, samples)
