"""The other choices are what their names say."""

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS

import benchmarks.quality.ablations  # noqa: F401 (registers them)

CODES = torch.tensor([[0.3, -0.2], [-0.7, 0.1], [0.0, 0.0]])


@pytest.fixture
def pair():
    """The plain generator, and another one with its weights."""

    def build(**settings):
        size = dict(in_channels=4, out_channels=2, hidden_channels=6)
        plain = MODELS.build(dict(type='AnchorFunctionGenerator', **size))
        other = MODELS.build(
            dict(type='RecodedAnchorFunctionGenerator', **size, **settings)
        )
        torch.nn.init.normal_(plain.residual_layer.weight)
        weights = plain.state_dict()
        other.load_state_dict(weights, strict=False)
        return plain, other

    return build


def kernels_of(generator, codes):
    return generator.kernels_and_biases(codes)[0]


def test_a_multiple_of_the_codes_is_that_of_the_residual(pair):
    plain, other = pair(matrix=((3.0, 0), (0, 3.0)))
    # At b = 0 the residual vanishes and theta* is left.
    shared = kernels_of(plain, torch.zeros(1, 2))
    expected = shared + 3 * (kernels_of(plain, CODES) - shared)
    torch.testing.assert_close(kernels_of(other, CODES), expected)


def test_scale_and_ratio(pair):
    """The mean of the logs is the scale's, their difference the ratio's."""
    plain, other = pair(matrix=((0.5, 0.5), (1, -1)))
    height, width = CODES.unbind(1)
    recoded = torch.stack([(height + width) / 2, height - width], dim=1)
    torch.testing.assert_close(
        kernels_of(other, CODES), kernels_of(plain, recoded)
    )


def test_normal_jitter_has_the_variance_of_the_uniform():
    """(2 j)^2 / 12 = j^2 / 3, within five standard errors of 10 000 draws."""
    settings = dict(ratios=[1.0], scales=[4], strides=[8], jitter=0.3)
    for kind in ('MetaAnchorGenerator', 'NormalJitterAnchorGenerator'):
        generator = TASK_UTILS.build(dict(type=kind, **settings))
        moves = generator._draw(torch.zeros(10_000, 2))
        assert moves.mean().abs() < 5 * 0.3 / (3 * 20_000) ** 0.5
        assert moves.var().item() == pytest.approx(0.03, rel=0.05)
    assert moves.abs().max() > 0.3  # the last one has no bounds


@pytest.mark.parametrize('family', ['ssd', 'yolov3'])
def test_one_hidden_layer_of_all_levels(load_config, family):
    """As of generators that happen to have equal ones; a step keeps it so."""
    cfg = load_config(f'meta_{family}/meta-{family}_r18-w32_digits.py')
    part = cfg.model.bbox_head
    part.update(train_cfg=cfg.model.train_cfg, test_cfg=cfg.model.test_cfg)
    plain = MODELS.build(part)
    part.type = part.type.replace('Meta', 'SharedHidden')
    shared = MODELS.build(part)
    plain.load_state_dict(shared.state_dict())
    feats = [torch.randn(1, channels, 4, 4) for channels in shared.in_channels]
    for mine, other in zip(shared(feats), plain(feats), strict=True):
        torch.testing.assert_close(mine, other)
    layers = {
        (id(one.code_layer), id(one.basis_layer))
        for one in shared.anchor_functions().values()
    }
    assert len(layers) == 1
    sizes = [
        sum(p.numel() for p in head.parameters()) for head in (plain, shared)
    ]
    # W11 (128, 2) and U (8, 128) of all generators but one are gone.
    spared = len(plain.anchor_functions()) - 1
    assert sizes[0] - sizes[1] == spared * (128 * 2 + 8 * 128)


def test_even_anchors_of_one_branch():
    """H of boxes has orthonormal columns, times the pace; classes are plain.

    h(b) = U relu(W11 b), and the rows of H are those of the anchors.
    """

    def build(kind, **settings):
        head = MODELS.build(
            dict(type=kind, num_classes=2, in_channels=8, feat_channels=8)
            | settings
        )
        torch.manual_seed(0)
        head.init_weights()
        codes = head.prior_generator.codes()[0]
        return {
            name: (codes @ each.code_layer.weight.T).relu()
            @ each.basis_layer.weight.T
            for name, each in head.anchor_functions().items()
        }

    even = build('EvenRetinaHead', pace=0.5, only='retina_reg')
    plain = build('MetaRetinaHead')
    assert torch.equal(even['retina_cls'], plain['retina_cls'])
    sizes = torch.linalg.svdvals(even['retina_reg'])
    # Of nine anchors in two dimensions, the largest differences at least.
    torch.testing.assert_close(sizes[:3], torch.full((3,), 0.5))
    assert sizes.max() < 0.5 + 1e-5
    assert torch.linalg.svdvals(plain['retina_reg'])[2] < 0.4


@pytest.mark.parametrize(
    ('bounds', 'expected'),
    [
        # As of MaxIoUAssigner: IoUs from 0.5 on are positive, and the best of
        # each object is; 0.35 is below 0.4, a negative.
        ({}, [1, 1, 2, 1, 0, 0]),
        # Of the first object 0.9 and 0.8 are kept, and 0.6 is ignored. The
        # third anchor is the second object's.
        (dict(at_most=2), [1, 1, 2, -1, 0, 0]),
        # The second object has 0.75, 0.35 and 0.1. It does not overlap the
        # first two anchors, and the fourth is the first's.
        (dict(at_least=3), [1, 1, 2, 1, 2, 2]),
        (dict(at_least=6), [1, 1, 2, 1, 2, 2]),
        (dict(at_least=2, at_most=2), [1, 1, 2, -1, 2, 0]),
        (dict(at_least=3, min_pos_iou=0.2), [1, 1, 2, 1, 2, 0]),
    ],
)
def test_the_positives_of_an_object_are_bounded(bounds, expected):
    assigner = TASK_UTILS.build(
        dict(type='EvenMaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)
        | dict(min_pos_iou=0)
        | bounds
    )
    overlaps = torch.tensor(
        [[0.9, 0.8, 0.7, 0.6, 0.3, 0.0], [0.0, 0.0, 0.75, 0.2, 0.35, 0.1]]
    )

    result = assigner.assign_wrt_overlaps(overlaps, torch.tensor([4, 7]))

    assert result.gt_inds.tolist() == expected
    labels = {1: 4, 2: 7, 0: -1, -1: -1}
    assert result.labels.tolist() == [labels[index] for index in expected]


@pytest.mark.parametrize('shape', [(0, 3), (2, 0), (0, 0)])
def test_bounds_without_objects_or_priors(shape):
    assigner = TASK_UTILS.build(
        dict(type='EvenMaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)
        | dict(at_least=2, at_most=3)
    )
    result = assigner.assign_wrt_overlaps(
        torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long)
    )
    assert (result.gt_inds < 1).all() and len(result.gt_inds) == shape[1]
