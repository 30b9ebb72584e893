"""Anchors as rows of a table: nothing is lost, bad input is named."""

import math

import pytest

from mmdet_metaanchor import MetaAnchorGenerator
from mmdet_metaanchor.playground.rows import Levels, Row, grid, index_in

STRIDES = [8, 16, 32]
GENERATOR = MetaAnchorGenerator(
    STRIDES, scales=[2.0, 3.0], ratios=[0.5, 1.0], jitter=0.0
)
LEVELS = Levels(GENERATOR)


def test_an_anchor_of_all_levels_grows_with_the_stride():
    rows = [Row('all', 10, 20), Row('16', 7, 5)]
    assert LEVELS.anchors(rows) == [
        [(10, 20)],
        [(20, 40), (7, 5)],
        [(40, 80)],
    ]
    owners = [level.tolist() for level in LEVELS.owners(rows)]
    assert owners == [[0], [0, 1], [0]]


def test_a_grid_is_one_row_per_shape():
    rows = LEVELS.rows(GENERATOR)
    assert [row.level for row in rows] == ['all'] * 4
    # 2 strides of 8 px at h / w = 0.5: 16 sqrt(2) by 16 / sqrt(2).
    assert rows[0] == Row('all', 22.6274, 11.3137)


@pytest.mark.parametrize(
    'rows',
    [
        [Row('all', 10, 20), Row('all', 15, 15)],
        [Row('all', 10, 20), Row('16', 7, 5), Row('32', 70, 50)],
        [Row('8', 10, 20), Row('16', 20, 41), Row('32', 40, 80)],
        # One shape twice, at one level three times.
        [Row('all', 10, 20), Row('all', 10, 20), Row('8', 10, 20)],
    ],
)
def test_rows_come_back(rows):
    shapes = LEVELS.anchors(rows)
    generator = MetaAnchorGenerator(STRIDES, shapes=shapes)
    assert LEVELS.rows(generator) == rows


def test_strides_may_fall():
    """As those of YOLOv3."""
    generator = MetaAnchorGenerator(STRIDES[::-1], scales=[2.0], ratios=[1.0])
    levels = Levels(generator)
    rows = levels.rows(generator)
    assert rows == [Row('all', 16, 16)]
    assert levels.anchors(rows) == [[(64, 64)], [(32, 32)], [(16, 16)]]


@pytest.mark.parametrize('row', [Row('all', 10, 40), Row('32', 90, 40)])
def test_scale_and_ratio_are_those_of_the_shape(row):
    scale, ratio = LEVELS.scale_and_ratio(row)
    # 10 x 40: the root of 400 px is 2.5 strides of 8 px.
    if row.level == 'all':
        assert (scale, ratio) == (2.5, 4.0)
    shaped = LEVELS.shaped(row.level, scale, ratio)
    assert shaped.width == pytest.approx(row.width, rel=1e-3)
    assert shaped.height == pytest.approx(row.height, rel=1e-3)


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        (['all', 'abc', '20'], "anchor 1: the width must be a number.*'abc'"),
        (['all', '3,5', '20'], "'3,5'"),
        (['all', '20', ''], "height must be a number, got ''"),
        (['all', '20', '0'], 'height must be above 0 .* got 0'),
        (['all', '-4', '20'], 'got -4'),
        (['all', '1000000', '20'], 'at most 10000, got 1000000'),
        (['all', 'nan', '20'], 'got nan'),
        (['all', 'inf', '20'], 'got inf'),
        (['9', '20', '20'], "one of all, 8, 16, 32 .* got '9'"),
        (['8', '20', '20'], 'stride 16 px has no anchor'),
        (['all', '20'], r"are needed, got \['all', '20'\]"),
        (['', '', ''], 'stride 8 px has no anchor'),
    ],
)
def test_bad_cells_are_named(cells, message):
    with pytest.raises(ValueError, match=message):
        LEVELS.parse([cells])


def test_what_a_table_may_hold():
    """Texts, numbers, spaces, rows that are empty, one column too many."""
    table = [['all', '10', 20.0], ['', None, ''], [' 16.0 ', '1e2', 3, 'x']]
    assert LEVELS.parse(table) == [Row('all', 10, 20), Row('16', 100, 3)]


@pytest.mark.parametrize(('scale', 'ratio'), [(0, 1), (1, -2), (5000, 1)])
def test_bad_scales_and_ratios_are_refused(scale, ratio):
    with pytest.raises(ValueError, match='must be above 0'):
        LEVELS.shaped('all', scale, ratio)


def test_grids_begin_with_the_smallest_trained_size():
    anchors = grid(GENERATOR, 3, 2.0)
    sizes = {round(math.sqrt(w * h), 3) for w, h in anchors[1]}
    # 2 strides of 16 px, and a third and two thirds of an octave more.
    assert sizes == {32.0, 40.317, 50.797}
    assert {round(h / w, 3) for w, h in anchors[1]} == {0.5, 1.0, 2.0}
    ((width, height),) = grid(GENERATOR, 1, 1.0)[1]
    assert (width, height) == pytest.approx((40.317, 40.317), abs=1e-3)


def test_the_anchor_of_a_row_below_an_empty_one():
    """It is the second that is read, though it stands in the third row."""
    table = [['all', 10, 20], ['', None, float('nan')], ['16', 7, 5]]
    rows = LEVELS.parse(table)
    assert rows[index_in(table, 2)] == Row('16', 7, 5)
