from benchmarks.speed.timing import WARM_UP, alternate, median_ratio


def test_summary_of_speeds():
    row = median_ratio([(1.0, 1.1), (2.0, 2.0), (1.0, 0.5)])
    # ratios 1.1, 1 and 0.5; seconds (1, 1, 2) and (0.5, 1.1, 2)
    assert row == dict(stock=1, ours=1.1, ratio=1, lowest=0.5, highest=1.1)


def test_nothing_is_timed_before_both_sides_are_warm():
    called = []
    times = alternate(
        '', [lambda: called.append(0), lambda: called.append(1)], 1, 'cpu'
    )
    assert called == [0, 1] * WARM_UP + [0, 1]
    assert len(times) == 1
