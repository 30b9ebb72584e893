"""Boxes in units of the standard box, as a coder encodes them."""

import math

import pytest
import torch
from mmdet.models.task_modules.coders import (
    DeltaXYWHBBoxCoder,
    LegacyDeltaXYWHBBoxCoder,
    PseudoBBoxCoder,
    TBLRBBoxCoder,
    YOLOBBoxCoder,
)

from mmdet_metaanchor.method.box_units import BoxUnits, units_of_prior
from mmdet_metaanchor.published.coders import (
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    DirectLocationBBoxCoder,
    MinMaxVarianceBBoxCoder,
)

# (b_h, b_w): the standard box; half as high, three times as wide; others
CODES = torch.tensor(
    [[0.0, 0.0], [math.log(0.5), math.log(3)], [0.7, -0.2], [-1.4, -1.1]]
)
MEANS, STDS = (0.1, -0.2, 0.3, 0.0), (0.1, 0.2, 0.3, 0.4)
CODERS = [
    DeltaXYWHBBoxCoder(),
    DeltaXYWHBBoxCoder(target_means=MEANS, target_stds=STDS),
    DeltaXYWHVarianceBBoxCoder(),
    CornersVarianceBBoxCoder(),
    MinMaxVarianceBBoxCoder(variances=STDS),
    TBLRBBoxCoder(),
    YOLOBBoxCoder(),
    DirectLocationBBoxCoder(),
]


def name(coder):
    return type(coder).__name__


def priors(codes, standard, centers):
    """Boxes of these codes; standard (AH, AW) in px, centres (n, 2)."""
    halves = (codes.exp() * standard).flip(1) / 2
    return torch.cat([centers - halves, centers + halves], dim=1).double()


def test_the_formula_of_deltas():
    # At b = (log 1/2, log 3) the prior is 3 AW wide: t_x = u_x / 3,
    # t_y = 2 u_y, t_w = u_w - log 3, t_h = u_h - log 1/2.
    scale, shift = units_of_prior(DeltaXYWHBBoxCoder(), CODES[1:2])
    known = dict(rtol=0, atol=1e-6, check_dtype=False)
    expected = torch.tensor([1 / 3, 2, 1, 1])
    torch.testing.assert_close(scale[0], expected, **known)
    expected = torch.tensor([0, 0, -math.log(3), math.log(2)])
    torch.testing.assert_close(shift[0], expected, **known)


def test_means_and_stds_of_deltas():
    # t = (delta - mean) / std and u likewise, so D stays, and
    # s = ((D - 1) mean + s before) / std.
    coder = DeltaXYWHBBoxCoder(target_means=MEANS, target_stds=STDS)
    scale, shift = units_of_prior(coder, CODES)
    plain, before = units_of_prior(DeltaXYWHBBoxCoder(), CODES)
    means, stds = torch.tensor([MEANS, STDS]).double()
    torch.testing.assert_close(scale, plain, rtol=1e-5, atol=1e-5)
    expected = ((plain - 1) * means + before) / stds
    torch.testing.assert_close(shift, expected, rtol=1e-5, atol=1e-4)


def test_the_formulas_of_our_coders():
    """What their docstrings and docs/other-heads.md say, at b = (b_h, b_w)."""
    b_h, b_w = 0.7, -0.2
    codes = torch.tensor([[b_h, b_w]]).double()
    d_w, d_h = math.exp(-b_w), math.exp(-b_h)
    v = (0.1, 0.2, 0.3, 0.4)
    half_w, half_h = (1 - d_w) / 2, (1 - d_h) / 2
    for coder, scale, shift in (
        (
            DeltaXYWHVarianceBBoxCoder(v),
            (d_w, d_h, 1, 1),
            (0, 0, -b_w / v[2], -b_h / v[3]),
        ),
        (DirectLocationBBoxCoder(), (1, 1, 1, 1), (0, 0, -b_w, -b_h)),
        (
            CornersVarianceBBoxCoder(v),
            (d_w, d_h, d_w, d_h),
            (half_w / v[0], half_h / v[1], -half_w / v[2], -half_h / v[3]),
        ),
        (
            MinMaxVarianceBBoxCoder(v),
            (d_w, d_w, d_h, d_h),
            (half_w / v[0], -half_w / v[1], half_h / v[2], -half_h / v[3]),
        ),
    ):
        expected = torch.tensor([scale, shift]).double()
        found = torch.cat(units_of_prior(coder, codes))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('coder', CODERS, ids=name)
def test_the_standard_box_is_as_it_is(coder):
    scale, shift = units_of_prior(coder, CODES[:1])
    assert torch.equal(scale, torch.ones_like(scale))
    assert torch.equal(shift, torch.zeros_like(shift))


@pytest.mark.parametrize('coder', CODERS, ids=name)
def test_the_closed_form_is_the_same(coder):
    codes = 2 * torch.randn(50, 2)
    for ours, theirs in zip(
        BoxUnits(coder)(codes), units_of_prior(coder, codes), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for ours, expected in zip(
        BoxUnits(coder)(torch.zeros(1, 2)), (1, 0), strict=True
    ):
        assert ours.tolist() == [[expected] * 4]  # to the last bit


@pytest.mark.parametrize('coder', CODERS, ids=name)
def test_it_is_what_the_coder_does(coder):
    """encode(prior, box) = D encode(standard box, box) + s, for any box."""
    generator = torch.Generator().manual_seed(0)
    standard = torch.tensor([20.0, 30.0])
    stride = 16.0
    centers = torch.full((len(CODES), 2), 2.5 * stride)
    moves = stride * (torch.rand(len(CODES), 2, generator=generator) - 0.5)
    sides = 60 * torch.rand(len(CODES), 2, generator=generator) + 3
    boxes = torch.cat(
        [centers + moves - sides / 2, centers + moves + sides / 2], dim=1
    ).double()
    more = (stride,) if isinstance(coder, YOLOBBoxCoder) else ()
    known, wanted = (
        coder.encode(priors(codes, standard, centers), boxes, *more).double()
        for codes in (0 * CODES, CODES)
    )
    scale, shift = units_of_prior(coder, CODES)
    torch.testing.assert_close(
        scale * known + shift, wanted, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize('coder', CODERS, ids=name)
def test_a_box_is_decoded_alike_from_any_prior(coder):
    standard, stride = torch.tensor([20.0, 30.0]), 16.0
    centers = torch.full((len(CODES), 2), 2.5 * stride)
    more = (stride,) if isinstance(coder, YOLOBBoxCoder) else ()
    box = torch.tensor([[35.0, 30.0, 50.0, 44.0]]).double()
    box = box.expand(len(CODES), 4)
    standards = priors(0 * CODES, standard, centers)
    known = coder.encode(standards, box, *more).double()
    scale, shift = units_of_prior(coder, CODES)
    decoded = coder.decode(
        priors(CODES, standard, centers), scale * known + shift, *more
    )
    torch.testing.assert_close(decoded.double(), box, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    'coder', [LegacyDeltaXYWHBBoxCoder(), PseudoBBoxCoder()], ids=name
)
def test_a_coder_of_px_is_refused(coder):
    message = f"{name(coder)}.*box_function='published'"
    with pytest.raises(ValueError, match=message):
        units_of_prior(coder, CODES)
