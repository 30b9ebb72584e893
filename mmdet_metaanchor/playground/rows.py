"""Anchors as the rows of a table, which a person can edit."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from ..anchors.candidates import grid_of_smallest
from ..anchors.customize import list_shapes
from ..anchors.detections import AnchorSet
from ..method.prior_generator import MetaAnchorGenerator

ALL = 'all'
# px of the resized image, far above what any detector here is given.
MOST_PX = 10_000
DIGITS = 4  # decimals of a px: codes differ by less than 1e-5
SAME = 1e-4  # of log sides: what those decimals leave of two equal shapes


class Row(NamedTuple):
    """An anchor of one level, or of all.

    ``level`` is the stride of the level in px, as text, or 'all'; ``width``
    and ``height`` are in px of the resized image, for 'all' those at the
    smallest stride, from which they grow with the stride.
    """

    level: str
    width: float
    height: float


class Levels:
    """The levels of a detector, and tables of anchors for them.

    Args:
        generator (MetaAnchorGenerator): Anchors of the detector; their
            strides are taken for square.

    Raises:
        ValueError: Two levels have the same stride.
    """

    def __init__(self, generator: MetaAnchorGenerator) -> None:
        self.strides = [stride[0] for stride in generator.strides]
        self.names = [f'{stride:g}' for stride in self.strides]
        if len(set(self.names)) < len(self.names):
            raise ValueError(
                'the playground tells levels by their strides, and two of '
                f'{self.strides} are the same'
            )

    @property
    def choices(self) -> list[str]:
        """list[str]: What the level of a row may be."""
        return [ALL, *self.names]

    def stride_of(self, level: str) -> float:
        """Stride in px that the sides of a row are given at."""
        if level == ALL:
            return min(self.strides)
        return self.strides[self.names.index(level)]

    def parse(self, table: Iterable[Sequence]) -> list[Row]:
        """Read what a person has left in a table.

        Args:
            table (Iterable[Sequence]): Rows of level, width and height, as
                texts or numbers. Rows of empty cells are left out.

        Returns:
            list[Row]: The anchors.

        Raises:
            ValueError: A level that the detector lacks, a side that is no
                number, not positive or above 10 000 px, or a level without
                anchors; with the value.
        """
        rows = []
        for number, cells in enumerate(table, 1):
            if _is_blank(cells):
                continue
            if len(cells) < 3:
                raise ValueError(
                    f'anchor {number}: level, width and height are needed, '
                    f'got {list(cells)}'
                )
            level, width, height = cells[:3]
            name = str(level).strip().removesuffix('.0')
            if name not in self.choices:
                raise ValueError(
                    f'anchor {number}: the level must be one of '
                    f'{", ".join(self.choices)} (strides in px), got '
                    f'{str(level)!r}'
                )
            rows.append(
                Row(
                    name,
                    _side('width', width, number),
                    _side('height', height, number),
                )
            )
        bare = set(self.names) - {row.level for row in rows}
        if bare and all(row.level != ALL for row in rows):
            level = min(bare, key=self.names.index)
            raise ValueError(
                f'the level of stride {level} px has no anchor, and every '
                f'level needs one: add one there, or one for {ALL!r}'
            )
        return rows

    def anchors(self, rows: Sequence[Row]) -> list[list[tuple[float, float]]]:
        """Sizes (w, h) in px, one list per level, in the order of the rows."""
        return [
            [
                (row.width * grown, row.height * grown)
                for _, row, grown in self._members(rows, index)
            ]
            for index in range(len(self.strides))
        ]

    def owners(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """(A,) index of the row of every anchor, one tensor per level."""
        return [
            torch.tensor([place for place, *_ in self._members(rows, index)])
            for index in range(len(self.strides))
        ]

    def rows(self, generator: MetaAnchorGenerator) -> list[Row]:
        """The table of anchors of this detector.

        Shapes that every level has, relative to its stride, become one row.

        Args:
            generator (MetaAnchorGenerator): The anchors.
        """
        anchors = list_shapes(generator)
        lowest = self.strides.index(min(self.strides))
        everywhere, left = [], [list(level) for level in anchors]
        for shape in anchors[lowest]:
            found = [
                _find(level, shape, stride / self.strides[lowest])
                for level, stride in zip(left, self.strides, strict=True)
            ]
            if None not in found:
                everywhere.append(shape)
                for level, place in zip(left, found, strict=True):
                    level.pop(place)
        return [_row(ALL, *shape) for shape in everywhere] + [
            _row(name, *shape)
            for name, level in zip(self.names, left, strict=True)
            for shape in level
        ]

    def scale_and_ratio(self, row: Row) -> tuple[float, float]:
        """Size in strides, the root of the area, and height over width."""
        size = math.sqrt(row.width * row.height)
        scale, ratio = size / self.stride_of(row.level), row.height / row.width
        return round(scale, DIGITS), round(ratio, DIGITS)

    def shaped(self, level: str, scale: float, ratio: float) -> Row:
        """The row of a scale in strides and a ratio, height over width.

        Raises:
            ValueError: As for :meth:`parse`.
        """
        for name, value in (('scale', scale), ('ratio', ratio)):
            _side(name, value)
        size = scale * self.stride_of(level)
        width, height = size / math.sqrt(ratio), size * math.sqrt(ratio)
        return _row(level, _side('width', width), _side('height', height))

    def _members(
        self, rows: Sequence[Row], index: int
    ) -> list[tuple[int, Row, float]]:
        """Places of rows of a level, the rows, and how they grow there."""
        grown = self.strides[index] / min(self.strides)
        return [
            (place, row, grown if row.level == ALL else 1.0)
            for place, row in enumerate(rows)
            if row.level in (ALL, self.names[index])
        ]


def grid(
    generator: MetaAnchorGenerator, number: int, widest: float
) -> AnchorSet:
    r"""A grid as the paper's: scales within an octave times ratios.

    Scales are :math:`2^{k/n}, 0 \le k < n`, times the size of the smallest
    anchor of the level, and n ratios lie evenly in log-space from
    1 / ``widest`` to ``widest``; a single anchor is the middle of those of
    n = 3.

    Args:
        generator (MetaAnchorGenerator): Where the smallest anchors are from.
        number (int): n.
        widest (float): The largest ratio of the sides.

    Returns:
        AnchorSet: Sizes (w, h) in px, one list per level.
    """
    if number == 1:
        scales, ratios = [2 ** (1 / 3)], [1.0]
    else:
        scales = [2 ** (k / number) for k in range(number)]
        ratios = [widest ** (2 * k / (number - 1) - 1) for k in range(number)]
    return grid_of_smallest(generator, scales, ratios)


def _row(level: str, width: float, height: float) -> Row:
    return Row(level, round(width, DIGITS), round(height, DIGITS))


def _find(
    level: list[tuple[float, float]], shape: tuple[float, float], grown: float
) -> int | None:
    """Place of a shape on a level where it is so much larger."""
    for place, sides in enumerate(level):
        if all(
            abs(math.log(side / (other * grown))) < SAME
            for side, other in zip(sides, shape, strict=True)
        ):
            return place
    return None


def index_in(table: Sequence[Sequence], number: int) -> int:
    """Index of the anchor in a row of a table, whose empty rows are none."""
    return sum(not _is_blank(cells) for cells in table[:number])


def _is_blank(cells: Sequence) -> bool:
    return all(_is_empty(cell) for cell in cells)


def _is_empty(cell) -> bool:
    return cell is None or str(cell).strip() in ('', 'nan', 'None')


def _side(name: str, value, number: int | None = None) -> float:
    """A side in px, or what else has to be positive and not too large."""
    where = '' if number is None else f'anchor {number}: '
    try:
        side = float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f'{where}the {name} must be a number, got {str(value)!r}'
        ) from None
    if not 0 < side <= MOST_PX:  # not NaN either
        raise ValueError(
            f'{where}the {name} must be above 0 and at most {MOST_PX}, got '
            f'{value}'
        )
    return side
