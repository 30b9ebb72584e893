"""Which shapes a training has seen, and a warning of others."""

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor

from .prior_generator import MetaAnchorGenerator
from .shapes import height_and_width, size_and_ratio

# In log-space: a thousandth is rounding, and no other shape.
TOLERANCE = 1e-3


def beyond(codes: Tensor, shape_range: Tensor) -> Tensor:
    """How far shapes lie outside of a range.

    Args:
        codes (Tensor): (A, 2) codes, log-space.
        shape_range (Tensor): (2, 2), the lowest and the highest (log size,
            log ratio); NaN where there is no limit.

    Returns:
        Tensor: (A,) distances in log-space, 0 inside of the range.
    """
    low, high = shape_range
    places = size_and_ratio(codes)
    gaps = torch.maximum(low - places, places - high).nan_to_num(nan=0.0)
    return torch.where(gaps > TOLERANCE, gaps, 0.0).amax(1)


def nearest(codes: Tensor, shape_range: Tensor) -> Tensor:
    """Codes moved into a range of sizes and ratios.

    Args:
        codes (Tensor): (A, 2) codes, log-space.
        shape_range (Tensor): As for :func:`beyond`.

    Returns:
        Tensor: (A, 2) codes; those inside of the range to the last bit.
    """
    inside = height_and_width(size_and_ratio(codes).clamp(*shape_range))
    return torch.where(
        (beyond(codes, shape_range) > 0)[:, None], inside, codes
    )


def warn_of_untrained(
    priors: MetaAnchorGenerator, shape_range: Tensor, guessed: bool
) -> None:
    """Log a warning if priors lie beyond the shapes that were trained.

    Args:
        priors (MetaAnchorGenerator): The priors, with the standard box of
            the model.
        shape_range (Tensor): (2, 2), what the model was trained with, see
            :func:`beyond`.
        guessed (bool): Whether the model extrapolates, or takes them for the
            nearest trained ones.
    """
    shape_range = shape_range.cpu()
    gaps = [beyond(code, shape_range) for code in priors.codes()]
    number = sum(int((gap > 0).sum()) for gap in gaps)
    if not number:
        return
    level = max(range(len(gaps)), key=lambda i: gaps[i].max())
    w, h = priors.base_shapes[level][gaps[level].argmax()].tolist()
    unit = size_and_ratio(priors.units[level].log())
    (small, wide), (large, tall) = (shape_range + unit).exp().tolist()
    treats = 'takes them for the nearest that it was'
    if guessed:
        treats = 'guesses what to make of them'
    print_log(
        f'{number} of {sum(priors.num_base_priors)} anchors have shapes that '
        f'the model was not trained with; it {treats}. '
        f'The farthest is (w, h) = ({w:.1f}, {h:.1f}) px at stride '
        f'{priors.strides[level][0]} px, where sizes sqrt(w h) from '
        f'{small:.1f} to {large:.1f} px and ratios h / w from {wide:.2f} to '
        f'{tall:.2f} were trained.',
        logger='current',
        level=logging.WARNING,
    )
