"""What has grown is named, and noise is not."""

import pytest

from benchmarks.soak import describe_process, judge, slope

CALM = {'memory': 100.0, 'file handles': 9, 'threads': 5, 'child processes': 2}
BEFORE = {
    'memory': 50.0,
    'file handles': 4,
    'threads': 1,
    'child processes': 0,
}
AFTER = dict(BEFORE, memory=90.0, threads=3)


def test_the_slope_is_that_of_the_second_half():
    # It rises by 10 per step first, and then by 0.25: 250 per 1 000.
    values = [10.0 * i for i in range(50)]
    values += [500 + 0.25 * i for i in range(50)]
    assert slope(values) == pytest.approx(250)


@pytest.mark.parametrize(
    ('leak', 'after', 'grown'),
    [
        ({}, {}, []),
        ({'memory': 0.1}, {}, ['memory']),  # 100 MB per 1 000 iterations
        ({'memory': 0.001}, {}, []),
        ({'file handles': 1}, {}, ['file handles']),
        ({'threads': 1}, {}, ['threads']),
        ({'child processes': 1}, {}, ['child processes']),
        ({}, {'file handles': 5}, ['file handles']),
        ({}, {'child processes': 1}, ['child processes']),
    ],
)
def test_what_grows_is_named(leak, after, grown):
    held = [
        {name: value + i * leak.get(name, 0) for name, value in CALM.items()}
        for i in range(40)
    ]
    rows, names = judge(BEFORE, held, {**AFTER, **after})
    assert names == grown
    assert [len(row) for row in rows] == [6] * 5


def test_a_process_is_described(tmp_path):
    before = describe_process()
    with open(tmp_path / 'file', 'w'):
        assert describe_process()['file handles'] == before['file handles'] + 1
    assert before['memory'] > 50
    assert before['threads'] >= 1
