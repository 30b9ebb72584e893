"""The convex hull of trained shapes, and the nearest shape in it."""

import pytest
import torch

from mmdet_metaanchor.method.shape_range import (
    beyond,
    nearest,
    reach,
    reach_of_box,
)
from mmdet_metaanchor.method.shapes import height_and_width, size_and_ratio


def moved(place, shape_range):
    """Where (log size, log ratio) goes."""
    codes = height_and_width(torch.tensor([place]).double())
    return size_and_ratio(nearest(codes, shape_range))[0]


# Its edges are along directions 32, 48 and 8 of 64.
TRIANGLE = torch.tensor([[0.0, 0], [1, 0], [0, 1]]).double()


@pytest.mark.parametrize(
    ('place', 'expected'),
    [
        ((1.0, 1.0), (0.5, 0.5)),  # the foot on the long edge
        ((2.0, -1.0), (1.0, 0.0)),  # a corner
        ((-0.3, 0.4), (0.0, 0.4)),
        ((0.6, 0.8), (0.4, 0.6)),  # 0.4 too much of the sum
    ],
)
def test_nearest_by_hand(place, expected):
    found = moved(place, reach(TRIANGLE))
    torch.testing.assert_close(found, torch.tensor(expected).double())
    codes = height_and_width(torch.tensor([place]).double())
    assert beyond(codes, reach(TRIANGLE)) > 0


def test_what_lies_between_is_left_as_it_is():
    weights = torch.distributions.Dirichlet(torch.ones(3)).sample((50,))
    codes = height_and_width(weights @ TRIANGLE.float())
    shape_range = reach(TRIANGLE.float())
    assert torch.equal(nearest(codes, shape_range), codes)
    assert beyond(codes, shape_range).tolist() == [0] * 50


def test_of_a_grid_sizes_and_ratios_are_clamped_apart():
    low, high = torch.tensor([[-0.3, -0.7], [0.4, 0.9]]).double()
    codes = torch.randn(200, 2).double()
    expected = size_and_ratio(codes).clamp(low, high)
    found = size_and_ratio(nearest(codes, reach_of_box(low, high)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_one_shape_is_all_there_is():
    found = moved((0.5, -2.0), reach(torch.tensor([[0.1, 0.2]]).double()))
    torch.testing.assert_close(found, torch.tensor([0.1, 0.2]).double())


@pytest.mark.parametrize('number', [2, 3, 9])
def test_it_is_the_hull_to_within_its_resolution(number):
    """Of a point outside of a hull the nearest is on a segment of two points.

    The polygon of 64 directions goes farther by at most tan(pi / 64) / 2 of
    an edge, 2.5 % of it, which is never longer than the two farthest points
    are apart.
    """
    points = torch.randn(number, 2).double()
    codes = height_and_width(3 * torch.randn(300, 2).double())
    shape_range = reach(points)
    outside = codes[beyond(codes, shape_range) > 0]
    places = size_and_ratio(outside)[:, None, None]
    edges = points - points[:, None]
    length = edges.square().sum(-1).clamp(min=1e-12)
    share = ((places - points[:, None]) * edges).sum(-1) / length
    feet = points[:, None] + share.clamp(0, 1)[..., None] * edges
    exact = (places - feet).norm(dim=-1).flatten(1).amin(1)
    found = nearest(outside, shape_range)
    ours = (size_and_ratio(outside) - size_and_ratio(found)).norm(dim=1)
    slack = 0.025 * length.max().sqrt()
    assert len(outside) > 50
    assert (ours <= exact + 1e-9).all()
    assert (exact <= ours + slack).all()
    # And it stays where it was moved to.
    torch.testing.assert_close(nearest(found, shape_range), found)


def test_no_limit_where_nothing_is_known():
    codes = torch.randn(5, 2)
    assert torch.equal(nearest(codes, torch.full((64,), torch.nan)), codes)


def test_exporters_see_what_is_computed():
    """Traced with 2 codes, it moves any number of them to the same places."""
    shape_range = reach(size_and_ratio(torch.randn(9, 2)))
    codes = torch.randn(50, 2) * 2
    assert 0 < (beyond(codes, shape_range) > 0).sum() < 50
    nothing = torch.full((64,), torch.nan)
    traced = torch.jit.trace(nearest, (codes[:2], shape_range))
    for limits in (shape_range, nothing):
        torch.testing.assert_close(
            traced(codes, limits), nearest(codes, limits)
        )


def test_autocast_rounds_nothing():
    # bfloat16 has 8 bits: between 1 and 2 its numbers are 1/128 apart, and
    # 1.6114 becomes 1.6094, which would put the corners 0.002 beyond the
    # range that they make.
    far = 1.6114
    corners = torch.tensor([[0.0, -far], [0.7, -far], [0.0, far], [0.7, far]])
    exact = reach(corners)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(reach(corners), exact)
        assert not beyond(height_and_width(corners), exact).any()
