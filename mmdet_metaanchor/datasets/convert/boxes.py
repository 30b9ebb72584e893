"""What every format is read to, and what every box has to be."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

# Names of the corners in messages, VOC's.
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
# As many as COCO's own files have: 1/100 px.
DECIMALS = 2


class Box(NamedTuple):
    """A box: ``corners`` (x1, y1, x2, y2) are edges in px of the image.

    An ``uncertain`` one is neither to be trained on nor to be counted.
    """

    name: str
    corners: tuple[float, float, float, float]
    uncertain: bool = False


class Annotated(NamedTuple):
    """An image: its name in the folder, (width, height) in px, its boxes."""

    image: str
    size: tuple[int, int]
    boxes: list[Box]


class Read(NamedTuple):
    """What was read, and a line for every file that is wrong."""

    images: list[Annotated]
    problems: list[str]


def collect(
    items: Iterable[Path | str], parse: Callable[[Path | str], Annotated]
) -> Read:
    """Parse all items, and name all that cannot be."""
    read = Read([], [])
    for item in items:
        try:
            read.images.append(parse(item))
        except UnicodeDecodeError:
            read.problems.append(f'{item}: its text is not UTF-8')
        except ValueError as error:
            read.problems.append(f'{item}: {error}')
    return read


def find_files(folder: str | Path, suffix: str) -> list[Path]:
    """Files of a folder and of those below it, by name.

    Raises:
        FileNotFoundError: There are none.
    """
    paths = sorted(
        path
        for path in Path(folder).rglob('*')
        if path.suffix.lower() == suffix and path.is_file()
    )
    if not paths:
        raise FileNotFoundError(f'{folder} holds no {suffix} files')
    return paths


def read_number(text: str | None, name: str) -> float:
    """A finite number.

    Raises:
        ValueError: It is none, or not there.
    """
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{name} must be a number, got {text}')
    return number


def read_corners(
    texts: Sequence[str | None], size: tuple[int, int], from_one: bool
) -> tuple[float, float, float, float]:
    """Edges of a box.

    Args:
        texts (Sequence[str]): xmin, ymin, xmax, ymax.
        size (tuple[int, int]): (width, height) of the image in px.
        from_one (bool): The numbers are pixels, counted from 1, the last
            ones in the box, as VOC has them: from 11 to 50 is 40 px wide,
            and begins 10 px from the border. Otherwise they are edges: that
            is 39 px wide.

    Raises:
        ValueError: There is no such box in the image.
    """
    corners = [
        read_number(text, name)
        for text, name in zip(texts, CORNERS, strict=True)
    ]
    if from_one:
        if min(corners[:2]) < 1:
            raise ValueError(
                f'xmin and ymin {_short(corners[:2])}, and pixels are '
                'counted from 1; --corners edges if yours are not'
            )
        corners = [corners[0] - 1, corners[1] - 1, *corners[2:]]
    check_corners(corners, size)
    return tuple(corners)


def check_corners(corners: Sequence[float], size: tuple[int, int]) -> None:
    """Refuse a box without an area, in its image or at all.

    Args:
        corners (Sequence[float]): (x1, y1, x2, y2), edges in px.
        size (tuple[int, int]): (width, height) of the image in px.

    Raises:
        ValueError: It is such a box.
    """
    x1, y1, x2, y2 = corners
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f'the box {_short(corners)} px has no area')
    width, height = size
    x1, y1, x2, y2 = cut(corners, size)
    if not (x1 < x2 and y1 < y2):
        raise ValueError(
            f'the box {_short(corners)} px lies outside of its image of '
            f'{width}x{height} px, but for less than {0.1**DECIMALS:g} px'
        )


def cut(corners: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Corners within the image, and rounded as they are written."""
    return [
        round(min(max(corner, 0.0), side), DECIMALS)
        for corner, side in zip(corners, size * 2, strict=True)
    ]


def _short(numbers: Sequence[float]) -> str:
    return f'({", ".join(f"{number:g}" for number in numbers)})'
