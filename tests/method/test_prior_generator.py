"""Shapes, codes and jitter of MetaAnchorGenerator."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS

from mmdet_metaanchor import MetaAnchorGenerator
from mmdet_metaanchor.method.shapes import size_and_ratio

STRIDES = [8, 16, 32]
STOCK = dict(
    strides=STRIDES,
    octave_base_scale=4,
    scales_per_octave=3,
    ratios=[0.5, 1.0, 2.0],
)
SSD = dict(
    type='SSDAnchorGenerator',
    strides=[8, 16, 32],
    ratios=[[2], [2, 3], [2]],
    min_sizes=[20, 40, 80],
    max_sizes=[40, 80, 160],
)
YOLO = dict(
    type='YOLOAnchorGenerator',
    strides=[32, 16, 8],
    base_sizes=[
        [(116, 90), (156, 198)],
        [(30, 61), (62, 45)],
        [(10, 13), (16, 30)],
    ],
)
SIZES = [(4, 5), (2, 3), (1, 1)]


def build(**kwargs):
    return TASK_UTILS.build(dict(type='MetaAnchorGenerator', **kwargs))


# As MMDetection's own tests of AnchorGenerator set it up.
LIKE_MMDETECTION = [
    {},
    dict(scale_major=False),
    dict(base_sizes=[10, 20, 30]),
    dict(center_offset=0.5),
    dict(centers=[(4, 4), (8, 8), (16, 16)]),
    dict(strides=[(8, 4), (16, 8), (32, 16)]),
    dict(scales=[4, 6], octave_base_scale=None, scales_per_octave=None),
]


@pytest.mark.parametrize('extra', LIKE_MMDETECTION)
def test_stock_arguments_give_the_stock_grid(extra):
    cfg = {**STOCK, **extra}
    ours, stock = build(**cfg), AnchorGenerator(**cfg)
    assert ours.num_levels == stock.num_levels
    assert ours.num_base_priors == stock.num_base_priors
    for a, b in zip(
        ours.grid_priors(SIZES, device='cpu'),
        stock.grid_priors(SIZES, device='cpu'),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    'anchors',
    [
        dict(scales=[4], ratios=[0.5, 1.0, 2.0]),
        dict(shapes=[[(10, 20)], [(20, 40)]]),
    ],
    ids=list,
)
def test_priors_are_on_the_cpu_as_those_of_stock(anchors):
    """Whatever PyTorch's default device is, as for a model made on a GPU."""
    settings = dict(strides=[8, 16], jitter=(0.2, 0.3), **anchors)
    expected = build(**settings)
    with torch.device('meta'):
        priors = build(**settings)
        priors.use_box_per_level()
        expected.use_box_per_level()
        for ours, theirs in (
            (priors.codes(), expected.codes()),
            (priors.base_anchors, expected.base_anchors),
            ([priors.units], [expected.units]),
            ([priors.shape_range()], [expected.shape_range()]),
        ):
            assert all(map(torch.equal, ours, theirs))
        with priors.jittered():
            assert {base.device.type for base in priors.base_anchors} == {
                'cpu'
            }


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('extra', LIKE_MMDETECTION)
def test_priors_of_indices_are_those_of_the_grid(extra, dtype):
    generator = build(**{**STOCK, **extra})
    for level, size in enumerate(SIZES):
        grid = generator.single_level_grid_priors(
            size, level, dtype=dtype, device='cpu'
        )
        index = torch.randperm(len(grid))[:7]
        sparse = generator.sparse_priors(index, size, level, dtype, 'cpu')
        assert sparse.dtype == grid.dtype == dtype
        assert torch.equal(sparse, grid[index])


@pytest.mark.parametrize('extra', LIKE_MMDETECTION)
def test_priors_of_padding_are_not_valid(extra):
    cfg = {**STOCK, **extra}
    ours, stock = build(**cfg), AnchorGenerator(**cfg)
    shape = (17, 30)  # px of (32, 40)
    flags = ours.valid_flags(SIZES, shape, device='cpu')
    for a, b in zip(
        flags, stock.valid_flags(SIZES, shape, device='cpu'), strict=True
    ):
        assert torch.equal(a, b)
    if 'strides' not in extra:
        # ceil(17 / 8) = 3 of 4 rows and ceil(30 / 8) = 4 of 5 columns.
        assert flags[0].sum() == 3 * 4 * ours.num_base_priors[0]


def test_stock_arguments_may_be_positional():
    ours = MetaAnchorGenerator([16], [1.0], [1.0], [9])
    # 9 px around the origin, as in the example of AnchorGenerator
    assert ours.base_anchors[0].tolist() == [[-4.5, -4.5, 4.5, 4.5]]


@pytest.mark.parametrize(
    'priors', [dict(type='AnchorGenerator', **STOCK), SSD, YOLO]
)
def test_priors_take_over_any_registered_generator(priors):
    ours, source = build(priors=priors), TASK_UTILS.build(priors)
    assert ours.num_base_priors == source.num_base_priors
    assert ours.strides == source.strides
    for a, b in zip(
        ours.grid_priors(SIZES, device='cpu'),
        source.grid_priors(SIZES, device='cpu'),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_levels_may_differ_in_number():
    # SSD: 2 squares per level and two boxes for each of its ratios
    assert build(priors=SSD).num_base_priors == [4, 6, 4]


def test_shapes_are_width_first():
    generator = build(strides=[8], shapes=[[(10, 20)]])
    # width 10, height 20, centred on the corner of the cell as in stock
    assert generator.base_anchors[0].tolist() == [[-5, -10, 5, 10]]


def test_shapes_replace_inherited_sizes():
    ours = build(**STOCK, shapes=[[(8, 8)], [(16, 16)], [(32, 32)]])
    assert ours.num_base_priors == [1, 1, 1]


def test_shapes_keep_the_centers_of_the_config():
    ours = build(strides=[8], shapes=[[(2, 4)]], centers=[(4, 4)])
    assert ours.base_anchors[0].tolist() == [[3, 2, 5, 6]]


def test_code_is_log_height_then_log_width():
    generator = build(
        strides=[8, 16], shapes=[[(20, 40)], [(20, 40)]], standard_box=(40, 10)
    )
    codes = generator.codes()
    # Level 0, unit (40, 10): h = 40 -> log 1, w = 20 -> log 2.
    assert codes[0][0].tolist() == pytest.approx([0, math.log(2)])
    # Level 1, unit (80, 20): h = 40 -> log 1/2, w = 20 -> log 1.
    assert codes[1][0].tolist() == pytest.approx([-math.log(2), 0])


def test_equal_shapes_relative_to_the_stride_have_equal_codes():
    codes = build(**STOCK).codes()
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0], codes[2])


@pytest.mark.parametrize('center_offset', [0, 0.5])
@pytest.mark.parametrize('strides', [[8, 24, 72], [90, 30, 10]])
def test_rounding_does_not_set_equal_shapes_apart(strides, center_offset):
    """Only factors of two between strides scale a shape exactly."""
    generator = build(
        **{**STOCK, 'strides': strides}, center_offset=center_offset
    )
    first, *others = generator.codes()
    for level, code in enumerate(others, 1):
        assert torch.equal(code, first)
        # The codes are still those of their own level.
        unit = torch.tensor(generator.standard_box).double()
        unit = unit * strides[level] / min(strides)
        sides = generator.base_shapes[level].flip(1).double()
        exact = (sides / unit).log()
        torch.testing.assert_close(code.double(), exact, rtol=0, atol=1e-6)


def test_shapes_that_nearly_agree_keep_their_codes():
    ours = build(strides=[8, 16], shapes=[[(32, 32)], [(64, 64.01)]])
    first, second = (code[0] for code in ours.codes())
    # 64.01 px at twice the stride: log(64.01 / 64) = 1.56e-4 higher
    assert (second - first).tolist() == pytest.approx(
        [math.log(64.01 / 64), 0], abs=1e-6
    )


def test_codes_keep_to_their_levels_where_some_agree():
    small, wide = (10.1, 20.3), (20.7, 10.9)  # at stride 8
    ours = build(
        strides=[8, 24, 72],
        shapes=[
            [small],
            [tuple(3 * side for side in size) for size in (wide, small)],
            [tuple(9 * side for side in wide)],
        ],
        standard_box=(44.9, 47.3),
    )
    codes = ours.codes()
    assert torch.equal(codes[1][1], codes[0][0])
    assert torch.equal(codes[2][0], codes[1][0])
    assert not torch.allclose(codes[1][0], codes[1][1], atol=0.1)


def test_lowest_level_is_that_of_the_smallest_stride():
    # YOLO lists the coarsest level first; means of (10, 13) and (16, 30).
    assert build(priors=YOLO).standard_box == pytest.approx((21.5, 13))


def test_standard_box_defaults_to_the_mean_height_and_width():
    ours = build(strides=[8, 16], shapes=[[(10, 20), (30, 60)], [(9, 9)]])
    assert ours.standard_box == pytest.approx((40, 20))


def test_standard_box_is_exact_in_single_precision():
    ours = build(**STOCK, standard_box=(42.7, 1 / 3))
    again = torch.tensor(ours.standard_box, dtype=torch.float32)
    assert tuple(again.tolist()) == ours.standard_box


@given(
    st.lists(
        st.tuples(*[st.floats(1, 500, width=32)] * 2), min_size=1, max_size=6
    ),
    st.tuples(*[st.floats(1, 500, width=32)] * 2),
)
def test_codes_invert_to_shapes(sizes, standard_box):
    ours = build(strides=[8], shapes=[sizes], standard_box=standard_box)
    # (h, w) = (AH, AW) exp(b), so shapes (w, h) return.
    sides = ours.codes()[0].exp() * torch.tensor(ours.standard_box)
    assert torch.allclose(sides.flip(1), torch.tensor(sizes), rtol=1e-4)


class TestJitter:
    def test_moves_within_the_bound_and_keeps_centers(self):
        generator = build(**STOCK, jitter=0.3, center_offset=0.5)
        codes, centers = generator.codes(), generator.base_centers
        moved = []
        for _ in range(50):
            with generator.jittered():
                for new, old in zip(generator.codes(), codes, strict=True):
                    moved.append(new - old)
                for new, old in zip(
                    generator.base_centers, centers, strict=True
                ):
                    assert torch.allclose(new, old, atol=1e-4)
        moved = torch.cat(moved)
        assert moved.abs().max() <= 0.3 + 1e-5
        # Uniform on +-0.3: mean 0, variance 0.3^2 / 3 = 0.03; 450
        # independent draws of each of height and width.
        assert moved.mean().abs() < 0.03
        assert moved.var().item() == pytest.approx(0.03, rel=0.2)
        # Height and width move independently.
        assert torch.corrcoef(moved.T)[0, 1].abs() < 0.2

    def test_size_and_ratio_move_apart(self):
        generator = build(**STOCK, jitter=(0.1, 0.6))
        at_rest = size_and_ratio(generator.codes()[0])
        moves = []
        for _ in range(50):
            with generator.jittered():
                moves.append(size_and_ratio(generator.codes()[0]) - at_rest)
        moves = torch.cat(moves)
        # Uniform on +-a: variance a^2 / 3; 450 draws of each.
        torch.testing.assert_close(
            moves.var(0), torch.tensor([0.01, 0.36]) / 3, rtol=0.2, atol=0
        )
        assert (moves.abs().amax(0) <= torch.tensor([0.1, 0.6]) + 1e-5).all()
        assert torch.corrcoef(moves.T)[0, 1].abs() < 0.2

    def test_is_over_after_the_block(self):
        generator = build(**STOCK, jitter=0.5)
        before = [base.clone() for base in generator.base_anchors]
        with pytest.raises(RuntimeError), generator.jittered():
            assert not torch.equal(generator.base_anchors[0], before[0])
            raise RuntimeError
        for new, old in zip(generator.base_anchors, before, strict=True):
            assert torch.equal(new, old)

    def test_codes_and_grid_share_the_draw(self):
        generator = build(**STOCK, standard_box=(40, 40), jitter=0.5)
        with generator.jittered():
            first = generator.codes()[0]
            grid = generator.grid_priors(SIZES, device='cpu')[0]
        sides = grid[:9, 2:] - grid[:9, :2]
        assert torch.allclose((sides / 40).log().flip(1), first, atol=1e-5)

    @pytest.mark.parametrize('strides', [STRIDES, [8, 24, 72], [10, 30, 90]])
    def test_equal_codes_share_a_draw(self, strides):
        generator = build(**{**STOCK, 'strides': strides}, jitter=0.5)
        with generator.jittered():
            codes = generator.codes()
        assert torch.equal(codes[0], codes[1])
        assert torch.equal(codes[0], codes[2])
        assert len(codes[0].unique(dim=0)) == 9

    def test_is_anew_each_time_and_repeats_with_the_seed(self):
        generator = build(**STOCK, jitter=0.5)
        draws = []
        for seed in (1, None, 1):
            if seed is not None:
                torch.manual_seed(seed)
            with generator.jittered():
                draws.append(generator.codes()[0])
        assert torch.equal(draws[0], draws[2])
        assert not torch.equal(draws[0], draws[1])

    @pytest.mark.parametrize('jitter', [{}, {'jitter': 0}])
    def test_zero_and_the_default_turn_it_off(self, jitter):
        generator = build(**STOCK, **jitter)
        codes = generator.codes()[0]
        with generator.jittered():
            assert torch.allclose(generator.codes()[0], codes, atol=1e-6)

    @pytest.mark.parametrize(
        'anneal, progress, strength',
        [
            (1 / 3, 0, 1),
            (1 / 3, 0.6, 1),
            (1 / 3, 5 / 6, 0.5),  # half way through the last third
            (1 / 3, 1, 0),
            (1, 0.25, 0.75),
            (0, 1, 1),  # as published
        ],
    )
    def test_falls_to_zero_at_the_end(self, anneal, progress, strength):
        generator = build(**STOCK, jitter=0.5, anneal=anneal)
        moves = []
        for moment in (0, progress):
            torch.manual_seed(0)
            with generator.jittered(moment):
                moved = generator.codes()[0]
            moves.append(moved - generator.codes()[0])
        torch.testing.assert_close(
            moves[1], strength * moves[0], rtol=0, atol=1e-5
        )

    @pytest.mark.parametrize('jitter', [0.3, (0.1, 0.6), [0.2, 0]])
    def test_the_range_is_what_draws_reach(self, jitter):
        generator = build(**STOCK, jitter=jitter)
        known = generator.shape_range()
        found = torch.full_like(known, -torch.inf)
        for _ in range(300):
            with generator.jittered():
                now = generator.shape_range(jitter=False)
            found = found.maximum(now)
        assert (found <= known + 1e-5).all()
        # Sums of two uniform draws come near their ends.
        assert (known - found < 0.1).all()

    def test_different_numbers_a_level(self):
        generator = build(priors=SSD, jitter=0.5)
        with generator.jittered():
            assert [len(c) for c in generator.codes()] == [4, 6, 4]


@pytest.mark.parametrize(
    ('kwargs', 'value'),
    [
        (dict(strides=[8], shapes=[[(0, 10)]]), '0'),
        (dict(strides=[8], shapes=[[(10, -3)]]), '-3'),
        (dict(strides=[8], shapes=[[(math.nan, 10)]]), 'nan'),
        (dict(strides=[8], shapes=[[(10, math.inf)]]), 'inf'),
        (dict(strides=[8, 16], shapes=[[(10, 10)], []]), 'level 1'),
        (dict(strides=[8, 16], shapes=[[(10, 10)]]), r'2 strides \[8, 16\]'),
        (dict(strides=[8], shapes=[(10, 10)]), r'\(w, h\)'),
        (dict(strides=[8], shapes=[[(1, 2, 3)]]), r'\(1, 2, 3\)'),
        ({**STOCK, 'ratios': [1.0, -2.0]}, '-2'),
        ({**STOCK, 'ratios': []}, 'level 0'),
        ({**STOCK, 'octave_base_scale': 0}, 'scales .* got 0'),
        ({**STOCK, 'octave_base_scale': math.nan}, 'nan'),
        ({**STOCK, 'scales_per_octave': 0}, 'level 0'),
        ({**STOCK, 'base_sizes': [8, -16, 32]}, '-16'),
        ({**STOCK, 'strides': [0, 16, 32]}, 'got 0'),
        ({**STOCK, 'jitter': -0.1}, '-0.1'),
        ({**STOCK, 'jitter': math.nan}, 'nan'),
        ({**STOCK, 'jitter': (0.1, -1)}, r'\(0.1, -1\)'),
        ({**STOCK, 'jitter': (0.1, 0.2, 0.3)}, r'\(0.1, 0.2, 0.3\)'),
        ({**STOCK, 'jitter': 'much'}, 'much'),
        ({**STOCK, 'anneal': 1.5}, '1.5'),
        ({**STOCK, 'anneal': math.nan}, 'nan'),
        ({**STOCK, 'standard_box': (0, 10)}, '0'),
        ({**STOCK, 'standard_box': (10, math.inf)}, 'inf'),
        ({**STOCK, 'standard_box': (10, 10, 10)}, '10'),
        (dict(priors={**YOLO, 'base_sizes': [[(10, -7)]] * 3}), '-7'),
        (dict(priors=SSD, shapes=[[(10, 10)]]), 'not both'),
        (dict(shapes=[[(10, 10)]]), 'strides'),
    ],
)
def test_bad_values_are_named(kwargs, value):
    with pytest.raises(ValueError, match=value):
        build(**kwargs)


def test_priors_must_be_anchors():
    with pytest.raises(TypeError, match='MlvlPointGenerator'):
        build(priors=dict(type='MlvlPointGenerator', strides=[8]))


def test_priors_must_repeat_their_base_anchors():
    class Halved(AnchorGenerator):
        def single_level_grid_priors(self, *args, **kwargs):
            return super().single_level_grid_priors(*args, **kwargs) / 2

    with TASK_UTILS.switch_scope_and_registry('mmdet') as registry:
        registry.register_module(module=Halved, force=True)
    with pytest.raises(TypeError, match='Halved'):
        build(priors=dict(type='Halved', **STOCK))


def test_source_is_left_as_it_was():
    shapes = [[(10, 20)], [(20, 40)], [(40, 80)]]
    given_shapes = [list(level) for level in shapes]
    generator = build(strides=STRIDES, shapes=shapes)
    with generator.jittered():
        pass
    assert shapes == given_shapes


def test_repr_tells_sizes_and_unit():
    text = repr(build(priors=SSD, standard_box=(30, 40)))
    assert 'standard_box=(30.0, 40.0)' in text
    assert '(20.0, 20.0)' in text
