"""Means, paired differences and their intervals, by hand."""

import pytest

from benchmarks.quality.figures import (
    expected_range,
    mean_and_spread,
    paired_difference,
    percent,
)

# Student's t with 2 degrees of freedom has F(x) = 1/2 + x / (2 sqrt(2 + x^2)),
# so F(x) = 0.975 at x = sqrt(2 * 0.95^2 / (1 - 0.95^2)) = 4.3027.
T2 = (2 * 0.95**2 / (1 - 0.95**2)) ** 0.5


def test_summary_of_seeds():
    summary = mean_and_spread({0: 1.0, 1: 2.0, 2: 6.0})
    assert summary['mean'] == 3
    # ((1 - 3)^2 + (2 - 3)^2 + (6 - 3)^2) / 2 = 7
    assert summary['spread'] == pytest.approx(7**0.5)


def test_one_seed_has_no_spread():
    assert mean_and_spread({4: 1.5}) == dict(
        seeds={4: 1.5}, mean=1.5, spread=None
    )


def test_nothing_run_gives_nothing():
    assert mean_and_spread({}) is None
    assert paired_difference({}, {0: 1.0}) is None


def test_differences_are_of_pairs_of_the_same_seed():
    """Seeds that only one side has do not count."""
    found = paired_difference(
        {0: 2.0, 1: 4.0, 2: 9.0, 7: 50.0}, {2: 6, 1: 2, 0: 1}
    )
    # 1, 2 and 3: mean 2, standard deviation 1
    assert found['mean'] == 2
    margin = T2 / 3**0.5
    assert found['interval'] == pytest.approx([2 - margin, 2 + margin])


def test_equal_differences_have_an_interval_of_no_length():
    found = paired_difference({0: 2.0, 1: 5.0}, {0: 1.0, 1: 4.0})
    assert found == dict(mean=1.0, interval=[1.0, 1.0])


def test_one_pair_has_no_interval():
    assert paired_difference({0: 2.0}, {0: 1.5}) == dict(
        mean=0.5, interval=None
    )


def test_one_more_training_is_expected_around_the_mean():
    low, high = expected_range([1.0, 2.0, 3.0])
    margin = T2 * (4 / 3) ** 0.5  # t s sqrt(1 + 1/n) with s = 1
    assert (low, high) == pytest.approx((2 - margin, 2 + margin))


def test_one_value_says_nothing_of_the_next():
    with pytest.raises(ValueError, match='spread of 1 value'):
        expected_range([3.0])


def test_a_metric_that_was_not_measured_is_named():
    result = dict(metrics={'AR@100': 0.25, 'AR@300': 0.5})
    assert percent(result, 'AR@100') == 25
    with pytest.raises(ValueError, match="'mAP'.*measured AR@100, AR@300"):
        percent(result, 'mAP')
    with pytest.raises(ValueError, match="'mAP_l' of a test that has no such"):
        percent(dict(metrics=dict(mAP_l=-1.0)), 'mAP_l')
