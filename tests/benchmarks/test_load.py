"""The twins under load have equal anchors; the table has a row per run."""

import pytest
from mmdet.registry import MODELS

from benchmarks.load import CASES, MANY, load_table, read_twins


@pytest.mark.parametrize('case', CASES)
def test_both_have_the_same_anchors(case):
    numbers = [
        MODELS.build(cfg.model).bbox_head.num_base_priors
        for cfg in read_twins(case)
    ]
    assert numbers == [500 if case.anchors is MANY else 9] * 2


def test_a_row():
    runs = ('inference', 'training step')
    stock = dict(memory=dict.fromkeys(runs, 2 * 10**8))
    # Ratios are 2, 3 and 4.
    seconds = dict.fromkeys(runs, [(1.0, 2.0), (2.0, 6.0), (3.0, 12.0)])
    ours = dict(memory=dict.fromkeys(runs, 10**8), seconds=seconds)
    head, *rows = load_table([(CASES[0], stock, ours)])
    assert len(rows) == 2
    assert rows[0][2:] == [
        '2.000', '6.000', '3.00 (2.00 to 4.00)', '200', '100', '0.50',
    ]  # fmt: skip
    assert len(head) == len(rows[0])
