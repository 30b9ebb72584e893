r"""Which shapes a training has seen, and what to make of others.

Shapes are points (log size, log ratio), see :func:`size_and_ratio`. What lies
between trained ones is trained: their convex hull. It is kept as its reach in
64 directions, evenly spread,

.. math:: h_k = \max_{p\;\mathrm{trained}} d_k \cdot p, \quad
          d_k = (\cos 2 \pi k / 64, \sin 2 \pi k / 64),

which has one size for any number of shapes, and grows by a maximum when others
are trained. The polygon :math:`d_k \cdot p \le h_k` is the hull where the
edges of the hull are along the axes, as of a grid, and else larger by at most
2.5 % of the length of an edge.
"""

import logging
import math

import torch
from mmengine.logging import print_log
from torch import Tensor

from .shapes import height_and_width, size_and_ratio

DIRECTIONS = 64
STEP = 2 * math.pi / DIRECTIONS
UNITS = torch.tensor(
    [(math.cos(k * STEP), math.sin(k * STEP)) for k in range(DIRECTIONS)],
    dtype=torch.float64,
)
# Of least and greatest size and ratio among the directions.
LARGE, TALL, SMALL, WIDE = (i * DIRECTIONS // 4 for i in range(4))
# In log-space: a thousandth is rounding, and no other shape.
TOLERANCE = 1e-3


def directions(like: Tensor) -> Tensor:
    """(64, 2) unit vectors, of the type and device of a tensor."""
    return UNITS.to(like)


def reach(places: Tensor) -> Tensor:
    """How far points go in every direction.

    Args:
        places (Tensor): (n, 2) points (log size, log ratio).

    Returns:
        Tensor: (64,).
    """
    return _along(places).amax(0)


def _along(places: Tensor) -> Tensor:
    """How far points, (n, 2), go in every direction, (n, 64)."""
    across, up = directions(places).unbind(1)
    # No product of matrices: autocast and TF32 round those, and a trained
    # shape would lie beyond the trained ones.
    return places[:, :1] * across + places[:, 1:] * up


def reach_of_box(low: Tensor, high: Tensor) -> Tensor:
    """The reach, (64,), of all sizes and ratios between two points, (2,)."""
    corners = torch.cartesian_prod(*torch.stack([low, high], dim=1))
    return reach(corners)


def beyond(codes: Tensor, shape_range: Tensor) -> Tensor:
    """How far shapes lie outside of a range.

    Args:
        codes (Tensor): (A, 2) codes, log-space.
        shape_range (Tensor): (64,) reach; NaN where there is no limit.

    Returns:
        Tensor: (A,) distances in log-space, 0 inside of the range.
    """
    places = size_and_ratio(codes)
    gaps = _along(places) - shape_range
    gaps = gaps.nan_to_num(nan=0.0).amax(1)
    return torch.where(gaps > TOLERANCE, gaps, 0.0)


def nearest(codes: Tensor, shape_range: Tensor) -> Tensor:
    """Codes moved into a range, each to the nearest shape there.

    Args:
        codes (Tensor): (A, 2) codes, log-space.
        shape_range (Tensor): As for :func:`beyond`.

    Returns:
        Tensor: (A, 2) codes; those inside of the range to the last bit.
    """
    outside = beyond(codes, shape_range) > 0
    if torch.jit.is_tracing():  # an exported graph has no branches
        moved = _to_the_edge(codes, shape_range)
        return torch.where(outside[:, None], moved, codes)
    if not outside.any():
        return codes
    # In parts: clusters are of as many codes as a data set has boxes.
    parts = codes[outside].split(10_000)
    codes = codes.clone()
    codes[outside] = torch.cat([_to_the_edge(p, shape_range) for p in parts])
    return codes


def _to_the_edge(codes: Tensor, shape_range: Tensor) -> Tensor:
    """The nearest codes, (A, 2), on the edge of a range."""
    corners = _corners(shape_range.double())
    places = size_and_ratio(codes).double()
    return height_and_width(_on_edges(places, corners)).to(codes)


def _on_edges(places: Tensor, corners: Tensor) -> Tensor:
    """The nearest points, (n, 2), on the edges of a polygon."""
    edge = corners.roll(-1, 0) - corners
    # The feet of perpendiculars on the edges, or their nearer ends.
    length = edge.square().sum(1).clamp(min=1e-12)
    places = places[:, None]
    share = ((places - corners) * edge).sum(-1) / length
    feet = corners + share.clamp(0, 1)[..., None] * edge
    best = (places - feet).square().sum(-1).argmin(1)
    return feet.gather(1, best[:, None, None].expand(-1, 1, 2)).squeeze(1)


def _corners(shape_range: Tensor) -> Tensor:
    """(64, 2) corners of the polygon, where neighbouring edges meet."""
    normals = directions(shape_range)
    along = shape_range.roll(-1, 0) - shape_range * math.cos(STEP)
    turned = torch.stack([-normals[:, 1], normals[:, 0]], dim=1)
    return (
        shape_range[:, None] * normals
        + (along / math.sin(STEP))[:, None] * turned
    )


def range_of_level(shape_range: Tensor, level: int) -> Tensor:
    """The (64,) of a level, of (levels, 64) or of (1, 64) for all."""
    return shape_range[min(level, len(shape_range) - 1)]


def warn_of_untrained(priors, shape_range: Tensor, guessed: bool) -> None:
    """Log a warning if priors lie beyond the shapes that were trained.

    Args:
        priors (MetaAnchorGenerator): The priors, with the standard box of
            the model.
        shape_range (Tensor): (1 or levels, 64), what the model was trained
            with, see :func:`beyond`.
        guessed (bool): Whether the model extrapolates, or takes them for the
            nearest trained ones.
    """
    shape_range = shape_range.cpu()
    gaps = [
        beyond(code, range_of_level(shape_range, level))
        for level, code in enumerate(priors.codes())
    ]
    number = sum(int((gap > 0).sum()) for gap in gaps)
    if not number:
        return
    level = max(range(len(gaps)), key=lambda i: gaps[i].max())
    w, h = priors.base_shapes[level][gaps[level].argmax()].tolist()
    unit_size, unit_ratio = size_and_ratio(priors.units[level].log()).tolist()
    limits = range_of_level(shape_range, level).tolist()
    small, large = (
        math.exp(value + unit_size)
        for value in (-limits[SMALL], limits[LARGE])
    )
    wide, tall = (
        math.exp(value + unit_ratio) for value in (-limits[WIDE], limits[TALL])
    )
    treats = 'takes them for the nearest that it was'
    if guessed:
        treats = 'guesses what to make of them'
    print_log(
        f'{number} of {sum(priors.num_base_priors)} anchors have shapes that '
        f'the model was not trained with; it {treats}. '
        f'The farthest is (w, h) = ({w:.1f}, {h:.1f}) px at stride '
        f'{priors.strides[level][0]} px, where sizes sqrt(w h) from '
        f'{small:.1f} to {large:.1f} px and ratios h / w from {wide:.2f} to '
        f'{tall:.2f} were trained, not every size with every ratio.',
        logger='current',
        level=logging.WARNING,
    )
