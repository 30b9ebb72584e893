"""What sizes and codes of priors can be, and the refusal of others."""

import math
from collections.abc import Iterator, Sequence
from numbers import Real

import torch
from torch import Tensor

# (w, h) in px, one list per level.
Shapes = Sequence[Sequence[tuple[float, float]]]
# Codes closer than this, in log-space, are of one shape: it is far above the
# rounding of single precision, and 0.005 px of 500.
ROUNDING = 1e-5


def check_size(w: float, h: float, level: int) -> None:
    """Refuse a size that no prior can have.

    Raises:
        ValueError: A side is not positive and finite.
    """
    if not all(math.isfinite(side) and side > 0 for side in (w, h)):
        raise ValueError(
            'the sides of a prior must be positive and finite px, got '
            f'(w, h) = ({w}, {h}) on level {level}'
        )


def check_shapes(shapes: Shapes, strides: Sequence) -> list[Tensor]:
    """Sizes as tensors.

    Args:
        shapes (list[list[tuple[float, float]]]): (w, h) in px, one list per
            level, in the order of ``strides``.
        strides (Sequence): Strides of the levels.

    Returns:
        list[Tensor]: (A, 2) sizes (w, h) in px, one tensor per level.

    Raises:
        ValueError: There are lists for another number of levels, one does
            not hold pairs, or a side is not positive and finite.
    """
    if len(shapes) != len(strides):
        raise ValueError(
            f'shapes must have one list for each of the {len(strides)} '
            f'strides {list(strides)}, got {len(shapes)}: {shapes}'
        )
    levels = []
    for level, sizes in enumerate(shapes):
        try:
            pairs = [(float(w), float(h)) for w, h in sizes]
        except (OverflowError, TypeError, ValueError):
            raise ValueError(
                'shapes must be [[(w, h), ...], ...] in px, one list per '
                f'level, got {sizes} on level {level}'
            ) from None
        for w, h in pairs:
            check_size(w, h, level)
        levels.append(on_cpu(pairs).reshape(-1, 2))
    return levels


def on_cpu(numbers: Sequence | Tensor) -> Tensor:
    """In single precision, where base anchors are.

    Whatever PyTorch's default device is.
    """
    return torch.as_tensor(numbers, dtype=torch.float32, device='cpu')


def check_numbers(name: str, values) -> None:
    """Refuse anything but positive finite numbers, however they are nested.

    Raises:
        ValueError: A number is not positive and finite.
    """
    for value in _leaves(values):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f'{name} must be positive and finite, got {value}'
            )


def check_standard_boxes(boxes: Tensor, levels: int, unit: str) -> None:
    """Refuse what is no standard box.

    Args:
        boxes (Tensor): To be (1, 2) or (levels, 2), (AH, AW).
        levels (int): Number of levels.
        unit (str): Of the numbers, for the message.

    Raises:
        ValueError: Another shape, or a side is not positive and finite.
    """
    good = boxes.ndim == 2 and boxes.shape[0] in (1, levels)
    good = good and boxes.shape[1] == 2
    if not good or not (boxes.isfinite() & (boxes > 0)).all():
        values = boxes.tolist()
        if len(values) == 1:
            (values,) = values
        raise ValueError(
            'standard_box must be two positive finite numbers (AH, AW) in '
            f'{unit}, or such a pair for each of the {levels} levels, got '
            f'{values}'
        )


def check_jitter(jitter: float | Sequence[float]) -> None:
    """Refuse what no jitter can be.

    Raises:
        ValueError: It is neither a finite number >= 0 nor a pair of them.
    """
    numbers = [jitter]
    if isinstance(jitter, Sequence) and len(jitter) == 2:
        numbers = jitter
    if not all(
        isinstance(n, Real) and math.isfinite(n) and n >= 0 for n in numbers
    ):
        raise ValueError(
            'jitter must be a finite number >= 0, or such a pair (of the log '
            f'size, of the log ratio), got {jitter!r}'
        )


def without_rounding(codes: list[Tensor]) -> list[Tensor]:
    """Codes, (A, 2) per level, equal to the last bit where shapes are equal.

    Only strides related by powers of two scale a shape without rounding. A
    code becomes the nearest one of the levels before it, if that is the same
    up to rounding.
    """
    if all(torch.equal(level, codes[0]) for level in codes):
        return codes  # the common case, at no cost
    merged = codes[:1]
    for level in codes[1:]:
        known = torch.cat(merged)
        gap, index = torch.cdist(level, known, p=math.inf).min(dim=1)
        same = (gap < ROUNDING)[:, None]
        merged.append(torch.where(same, known[index], level))
    return merged


def size_and_ratio(codes: Tensor) -> Tensor:
    """Codes by size and by ratio of the sides, in which shapes vary apart.

    Args:
        codes (Tensor): (..., 2) codes (log height, log width).

    Returns:
        Tensor: (..., 2) (log of the square root of the area, log of height
        divided by width).
    """
    height, width = codes.unbind(-1)
    return torch.stack([(height + width) / 2, height - width], dim=-1)


def height_and_width(places: Tensor) -> Tensor:
    """Codes, (..., 2), of what :func:`size_and_ratio` makes of them."""
    size, ratio = places.unbind(-1)
    return torch.stack([size + ratio / 2, size - ratio / 2], dim=-1)


def _leaves(values) -> Iterator[float]:
    """Numbers in nested lists, tuples and tensors."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _leaves(value)
    else:
        yield values
