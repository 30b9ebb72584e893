"""Laws of all codings, and what each computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.coders import (
    DeltaXYWHBBoxCoder,
    YOLOBBoxCoder,
)
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import HorizontalBoxes

from mmdet_metaanchor.published.coders import (
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    DirectLocationBBoxCoder,
    MinMaxVarianceBBoxCoder,
)

WITH_VARIANCES = [
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    MinMaxVarianceBBoxCoder,
]
UNIT = (1.0, 1.0, 1.0, 1.0)

CASES = settings(max_examples=max(1000, settings().max_examples))
PLACE = st.floats(-1e4, 1e4, width=32)
SIDE = st.floats(-3, 4).map(lambda exponent: 10**exponent)  # 0.001 to 10 000


@st.composite
def boxes(draw, number=10):
    """(10, 4) boxes, so 1 000 examples are 10 000 cases."""
    rows = draw(
        st.lists(
            st.tuples(PLACE, PLACE, SIDE, SIDE),
            min_size=number,
            max_size=number,
        )
    )
    return torch.tensor([(x, y, x + w, y + h) for x, y, w, h in rows])


def assert_same_boxes(actual, expected, *others):
    """To 64 units in the last place of the largest coordinate of a row."""
    largest = torch.cat([expected, *others], 1).abs().amax(1, keepdim=True)
    error = (actual - expected).abs() / largest
    assert (error <= 64 * torch.finfo(torch.float32).eps).all(), error.max()


@pytest.mark.parametrize('variances', [(0.1, 0.1, 0.2, 0.2), UNIT])
@pytest.mark.parametrize('cls', WITH_VARIANCES)
@CASES
@given(boxes(), boxes())
def test_decode_inverts_encode(cls, variances, priors, gts):
    coder = cls(variances)
    again = coder.decode(priors, coder.encode(priors, gts))
    assert again.isfinite().all()
    # A side of 0.001 px at 10 000 px is rounded to 0.
    both = ((gts > gts.roll(2, 1)) & (priors > priors.roll(2, 1)))[:, 2:]
    both = both.all(1)
    assert_same_boxes(again[both], gts[both], priors[both])


@CASES
@given(
    st.lists(
        st.tuples(
            st.integers(0, 99), st.integers(0, 99),  # cell
            st.floats(0.001, 0.999), st.floats(0.001, 0.999),  # place in it
            SIDE, SIDE, SIDE, SIDE,
        ),
        min_size=10, max_size=10,
    ),
    st.sampled_from([8, 16, 32]),
)  # fmt: skip
def test_direct_location_within_a_cell(rows, stride):
    cx, cy, fx, fy, w, h, pw, ph = torch.tensor(rows).t()
    # No side below what encoding keeps: a millionth of the prior's.
    w, h = w.maximum(pw * 2e-6), h.maximum(ph * 2e-6)
    x, y = (cx + fx) * stride, (cy + fy) * stride
    gts = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
    x, y = (cx + 0.5) * stride, (cy + 0.5) * stride
    priors = torch.stack([x - pw / 2, y - ph / 2, x + pw / 2, y + ph / 2], 1)
    coder = DirectLocationBBoxCoder()
    codes = coder.encode(priors, gts, stride)
    assert_same_boxes(coder.decode(priors, codes, stride), gts, priors)
    # Within a cell the stock coder is exact: ours is the same.
    assert torch.equal(codes, YOLOBBoxCoder().encode(priors, gts, stride))


PRIOR = torch.tensor([[10.0, 20, 14, 28]])  # centre (12, 24), 4 x 8
BOX = torch.tensor([[13.0, 20, 15, 36]])  # centre (14, 28), 2 x 16


@pytest.mark.parametrize(
    ('cls', 'expected'),
    [
        # (14 - 12)/4 / 0.1, (28 - 24)/8 / 0.1, log(2/4)/0.2, log(16/8)/0.2
        (DeltaXYWHVarianceBBoxCoder, [5, 5, -3.465736, 3.465736]),
        # (13 - 10)/4 / 0.1, (20 - 20)/8, (15 - 14)/4 / 0.2, (36 - 28)/8 / 0.2
        (CornersVarianceBBoxCoder, [7.5, 0, 1.25, 5]),
        # the same, in the order x1, x2, y1, y2, by 0.1, 0.1, 0.2, 0.2
        (MinMaxVarianceBBoxCoder, [7.5, 2.5, 0, 5]),
    ],
)
def test_published_formula(cls, expected):
    offsets = TASK_UTILS.build(dict(type=cls.__name__)).encode(PRIOR, BOX)
    torch.testing.assert_close(offsets, torch.tensor([expected]))


def test_plain_offset_of_four_numbers():
    # prior [0.2, 0.5, 0.1, 0.2], box [0.25, 0.55, 0.08, 0.25]: with sides
    # and variances of 1 the offsets are the difference of the two
    prior = torch.tensor([[0.2, 0.5, 1.2, 1.5]])
    box = torch.tensor([[0.25, 0.55, 1.18, 1.55]])
    offsets = CornersVarianceBBoxCoder(UNIT).encode(prior, box)
    expected = torch.tensor([[0.05, 0.05, -0.02, 0.05]])
    torch.testing.assert_close(offsets, expected)


def test_direct_location_formula():
    # Cell (1, 2) of stride 8: centre (12, 20). The box is centred in it at
    # (14, 17): 14/8 - 1 = 0.75, 17/8 - 2 = 0.125. 2 x 16 on 4 x 8.
    prior = torch.tensor([[10.0, 16, 14, 24]])
    box = torch.tensor([[13.0, 9, 15, 25]])
    codes = DirectLocationBBoxCoder().encode(prior, box, 8)
    expected = torch.tensor([[0.75, 0.125, -0.6931472, 0.6931472]])
    torch.testing.assert_close(codes, expected)


@pytest.mark.parametrize('x', [8.0, 16, 30])
def test_direct_location_at_a_border_is_encoded_inside(x):
    # On the borders of the cell, 8 and 16, or outside: no logit says so.
    prior = torch.tensor([[10.0, 16, 14, 24]])
    box = torch.tensor([[x - 1, 12, x + 1, 28]])
    for coder in (DirectLocationBBoxCoder(), YOLOBBoxCoder()):
        codes = coder.encode(prior, box, 8)
        assert codes[0, 0] == pytest.approx(0 if x == 8 else 1, abs=1e-5)
        assert 0 < codes[0, 0] < 1
        again = coder.decode(prior, codes, 8)
        assert (again[0, 0] + 1).item() == pytest.approx(min(x, 16), abs=1e-4)


def test_stock_clamps_sizes_that_ours_keeps():
    prior = torch.tensor([[0.0, 0, 1, 1]])
    box = torch.tensor([[0.0, 0, 100, 100]])
    stock = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    ours = DeltaXYWHVarianceBBoxCoder()
    assert torch.allclose(stock.encode(prior, box), ours.encode(prior, box))
    # 1000/16 = 62.5 times the prior at most: 50 - 31.25 = 18.75
    again = stock.decode(prior, stock.encode(prior, box))
    assert again[0].tolist() == pytest.approx([18.75, 18.75, 81.25, 81.25])
    again = ours.decode(prior, ours.encode(prior, box))
    assert again[0].tolist() == pytest.approx([0, 0, 100, 100], abs=1e-4)


ALL = [
    *((cls(), ()) for cls in WITH_VARIANCES),
    (DirectLocationBBoxCoder(), (8,)),
]


@pytest.mark.parametrize(('coder', 'stride'), ALL)
class TestAll:
    def test_large_offsets_are_clamped(self, coder, stride):
        for value in (1e4, 1e30, float('inf'), float('-inf')):
            offsets = torch.full((1, 4), value)
            assert coder.decode(PRIOR, offsets, *stride).isfinite().all()
            half = offsets.half()
            assert coder.decode(PRIOR.half(), half, *stride).isfinite().all()

    def test_no_side_never_gives_nan(self, coder, stride):
        points = torch.tensor([[12.0, 24, 12, 24], [11, 20, 11, 28]])
        others = torch.cat([points, PRIOR, BOX])
        for prior in others:
            for box in others:
                pair = prior[None], box[None]
                offsets = coder.encode(*pair, *stride)
                assert offsets.isfinite().all()
                again = coder.decode(prior[None], offsets, *stride)
                assert again.isfinite().all()

    def test_no_boxes(self, coder, stride):
        none = torch.empty(0, 4)
        assert coder.encode(none, none, *stride).shape == (0, 4)
        assert coder.decode(none, none, *stride).shape == (0, 4)

    def test_box_types(self, coder, stride):
        wrapped = HorizontalBoxes(PRIOR), HorizontalBoxes(BOX)
        offsets = coder.encode(*wrapped, *stride)
        assert torch.equal(offsets, coder.encode(PRIOR, BOX, *stride))
        typed = type(coder)(use_box_type=True)
        boxes = typed.decode(wrapped[0], offsets, *stride)
        assert isinstance(boxes, HorizontalBoxes)
        plain = coder.decode(PRIOR, offsets, *stride)
        assert torch.equal(boxes.tensor, plain)

    def test_a_batch_equals_its_images(self, coder, stride):
        priors = torch.stack([PRIOR.expand(3, 4), BOX.expand(3, 4)])
        offsets = torch.randn(2, 3, 4)
        batch = coder.decode(priors, offsets, *stride)
        for image in range(2):
            alone = coder.decode(priors[image], offsets[image], *stride)
            torch.testing.assert_close(batch[image], alone)

    def test_gradient(self, coder, stride):
        offsets = torch.randn(1, 4, requires_grad=True)
        coder.decode(PRIOR, offsets, *stride).pow(2).sum().backward()
        assert (offsets.grad.abs() > 0).all()

    def test_inputs_are_not_changed(self, coder, stride):
        priors, boxes = PRIOR.clone(), BOX.clone()
        offsets = coder.encode(priors, boxes, *stride)
        kept = offsets.clone()
        coder.decode(priors, offsets, *stride)
        assert torch.equal(priors, PRIOR)
        assert torch.equal(boxes, BOX)
        assert torch.equal(offsets, kept)

    def test_encode_size(self, coder, stride):
        size = coder.encode(PRIOR, BOX, *stride).shape[-1]
        assert coder.encode_size == size


@pytest.mark.parametrize('cls', WITH_VARIANCES)
class TestWithVariances:
    def test_clips_to_the_image(self, cls):
        coder = cls(UNIT)
        box = torch.tensor([[-5.0, 3, 50, 40]])
        offsets = coder.encode(PRIOR, box)
        clipped = coder.decode(PRIOR, offsets, max_shape=(30, 20, 3))
        torch.testing.assert_close(clipped, torch.tensor([[0.0, 3, 20, 30]]))
        free = cls(UNIT, clip_border=False)
        free = free.decode(PRIOR, offsets, max_shape=(30, 20))
        torch.testing.assert_close(free, box)

    def test_clips_every_image_of_a_batch(self, cls):
        coder = cls(UNIT)
        box = torch.tensor([[-5.0, 3, 50, 40]])
        offsets = coder.encode(PRIOR, box).expand(2, 1, 4)
        clipped = coder.decode(
            PRIOR.expand(2, 1, 4), offsets, max_shape=[(30, 20), (35, 60)]
        )
        expected = torch.tensor([[[0.0, 3, 20, 30]], [[0, 3, 50, 35]]])
        torch.testing.assert_close(clipped, expected)

    def test_offsets_for_each_class(self, cls):
        coder = cls()
        offsets = torch.randn(1, 8)
        both = coder.decode(PRIOR, offsets)
        alone = [coder.decode(PRIOR, part) for part in offsets.split(4, 1)]
        torch.testing.assert_close(both, torch.cat(alone, 1))

    @pytest.mark.parametrize(
        'variances', [(0.1, 0.1), (0.1, 0.1, 0.2, 0), (1, 1, 1, float('nan'))]
    )
    def test_refuses_variances(self, cls, variances):
        with pytest.raises(ValueError, match=str(variances[-1])):
            cls(variances)


class TestAsStock:
    """The cases of MMDetection's own tests of DeltaXYWHBBoxCoder."""

    ROIS = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [5] * 4])
    DELTAS = torch.tensor(
        [[0.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 2, -1], [0.7, -1.9, -0.5, 0.3]]
    )
    EXPECTED = torch.tensor(
        [
            [0.0, 0, 1, 1],
            # Centre 0.5 + 1, sides e: 1.5 -+ 2.7183 / 2.
            [0.1409, 0.1409, 2.8591, 2.8591],
            # 0.5 -+ e^2 / 2 = -3.19 (clipped), 4.19; 0.5 -+ e^-1 / 2.
            [0, 0.3161, 4.1945, 0.6839],
            # Sides of 0 stay 0, and the centre where it was.
            [5, 5, 5, 5],
        ]
    )

    @pytest.mark.parametrize('max_shape', [(32, 32), torch.tensor((32, 32))])
    def test_one_image(self, max_shape):
        out = DeltaXYWHVarianceBBoxCoder(UNIT).decode(
            self.ROIS, self.DELTAS, max_shape=max_shape
        )
        torch.testing.assert_close(out, self.EXPECTED, rtol=0, atol=1e-4)

    @pytest.mark.parametrize('max_shape', [(32, 32), [(32, 32), (32, 32)]])
    def test_a_batch(self, max_shape):
        rois, deltas = self.ROIS.repeat(2, 1, 1), self.DELTAS.repeat(2, 1, 1)
        coder = DeltaXYWHVarianceBBoxCoder(UNIT)
        for out in coder.decode(rois, deltas, max_shape=max_shape):
            torch.testing.assert_close(out, self.EXPECTED, rtol=0, atol=1e-4)

    def test_shapes_of_another_number_of_images(self):
        rois, deltas = self.ROIS.repeat(2, 1, 1), self.DELTAS.repeat(2, 1, 1)
        coder = DeltaXYWHVarianceBBoxCoder(UNIT)
        with pytest.raises(AssertionError):
            coder.decode(rois, deltas, max_shape=[(32, 32)] * 3)

    def test_no_boxes(self):
        none = torch.zeros(0, 4)
        coder = DeltaXYWHVarianceBBoxCoder(UNIT)
        assert coder.decode(none, none, max_shape=(32, 32)).shape == (0, 4)

    def test_a_clamp_of_the_centre(self):
        settings = dict(add_ctr_clamp=True, ctr_clamp=2)
        roi, delta = torch.tensor([[0.0, 0, 6, 6]]), torch.tensor([[1.0] * 4])
        out = DeltaXYWHVarianceBBoxCoder(UNIT, **settings).decode(roi, delta)
        # Centre 3 + min(6, 2), sides 6 e^1 = 16.31.
        expected = torch.tensor([[5 - 8.1548, 5 - 8.1548, 13.1548, 13.1548]])
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
