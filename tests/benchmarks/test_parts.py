import pytest
import torch

from benchmarks.parts.compare import (
    compare_assigners,
    compare_coders,
    make_boxes,
    make_priors,
    peak_allocation,
)


def test_priors_of_a_retinanet():
    priors = make_priors(9, (800, 1333), 'cpu')
    # cells at strides 8 to 128: 100 x 167, 50 x 84, 25 x 42, 13 x 21, 7 x 11
    assert len(priors) == 9 * (16700 + 4200 + 1050 + 273 + 77)
    sizes = (priors[:, 2:] - priors[:, :2])[:9]
    assert sizes.prod(1).min().sqrt().item() == pytest.approx(32)
    ratios = sizes[:, 1] / sizes[:, 0]
    torch.testing.assert_close(ratios.min(), torch.tensor(0.5))
    torch.testing.assert_close(ratios.max(), torch.tensor(2.0))


def test_boxes_lie_in_the_image_and_repeat():
    boxes = make_boxes(50, (80, 133), 'cpu').bboxes
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([133, 80, 133, 80])).all()
    assert torch.equal(boxes, make_boxes(50, (80, 133), 'cpu').bboxes)


def test_peak_memory_counts_what_is_held_at_once():
    def run():
        torch.ones(1000, 1000)  # 4 MB, given back at once
        pair = torch.ones(1000, 1000), torch.ones(1000, 500)  # 4 + 2 MB
        del pair

    assert 6_000_000 <= peak_allocation(run, 'cpu') < 6_100_000


def test_comparisons_of_assigners():
    rows = list(compare_assigners(9, [1, 20], (96, 128), 1, 4e6, 'cpu'))
    assert [(row.part, row.boxes) for row in rows] == [
        (name, number)
        for number in (1, 20)
        for name in ('FasterRCNNAssigner', 'SSDAssigner', 'YOLOv3Assigner')
    ]
    # 12 x 16 + 6 x 8 + 3 x 4 + 2 x 2 + 1 cells
    assert rows[0].priors == 9 * 257
    assert all(row.ratio > 0 and row.memory > 0 for row in rows)


def test_stock_is_left_out_where_it_does_not_fit():
    # 20 x 2313 x 4 bytes x 6 matrices are 1.1 MB, those of 1 box 0.06 MB
    rows = list(compare_assigners(9, [1, 20], (96, 128), 1, 1e6, 'cpu'))
    assert all(row.ratio is not None for row in rows[:3])
    for row in rows[3:]:
        assert row.ratio is row.stock_seconds is row.stock_memory is None
        assert row.seconds > 0


def test_comparisons_of_coders():
    rows = list(compare_coders([10], 1, 'cpu'))
    assert len(rows) == 6
    assert all(row.ratio > 0 for row in rows)


@pytest.mark.parametrize('number', [0, 8, -9])
def test_refuses_numbers_that_are_no_squares(number):
    with pytest.raises(ValueError, match=str(number)):
        make_priors(number, (96, 128), 'cpu')
