"""Sizes that priors can have, and the refusal of others."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# (w, h) in px, one list per level.
Shapes = Sequence[Sequence[tuple[float, float]]]


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
    for level, sizes in enumerate(shapes):
        try:
            pairs = [(float(w), float(h)) for w, h in sizes]
        except (TypeError, ValueError):
            raise ValueError(
                'shapes must be [[(w, h), ...], ...] in px, one list per '
                f'level, got {sizes} on level {level}'
            ) from None
        for w, h in pairs:
            check_size(w, h, level)
    return [torch.tensor(sizes).float().reshape(-1, 2) for sizes in shapes]


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


def _leaves(values) -> Iterator[float]:
    """Numbers in nested lists, tuples and tensors."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _leaves(value)
    else:
        yield values
