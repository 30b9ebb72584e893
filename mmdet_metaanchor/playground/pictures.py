"""The pictures and tables of a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from ..anchors.drawing import (
    DrawnBoxes,
    draw_boxes,
    is_light,
    nth_colour,
    pixels,
)
from .rows import Row

WIDTH, DPI = 6.0, 130  # of a picture, in inches and dots per inch
LETTERS = 0.8  # of the size that draw_boxes gives them
MOST_HEIGHT = 1.5  # of a picture, in widths
SHOWN = 1000  # px, the longer side of what is drawn on


def draw_found(
    image: np.ndarray, boxes: DrawnBoxes, classes: Sequence[str]
) -> np.ndarray:
    """An image with boxes: detections by anchor, or the truth by class.

    Args:
        image (np.ndarray): (H, W, 3) RGB uint8.
        boxes (DrawnBoxes): In px of the image.
        classes (Sequence[str]): Name of every label.

    Returns:
        np.ndarray: (H', W', 3) RGB uint8.
    """
    small, zoom = _shrunk(image)
    axes, width = _whole_picture(small)
    drawn = boxes._replace(corners=boxes.corners * zoom)
    draw_boxes(axes, small, drawn, classes, panel=LETTERS * width)
    return pixels(axes.figure)


def draw_anchors(
    image: np.ndarray,
    cell: Sequence[np.ndarray],
    owners: Sequence[np.ndarray],
    chosen: int | None,
) -> np.ndarray:
    """The anchors of the cells nearest to the middle, the chosen one bold.

    Args:
        image (np.ndarray): (H, W, 3) RGB uint8.
        cell (Sequence[np.ndarray]): (A, 4) one per level, (x1, y1, x2, y2)
            in px of the image.
        owners (Sequence[np.ndarray]): (A,) index of the row, one per level.
        chosen (int, optional): Index of the row.

    Returns:
        np.ndarray: (H', W', 3) RGB uint8.
    """
    small, zoom = _shrunk(image)
    axes, _ = _whole_picture(small)
    axes.imshow(small, alpha=0.35)
    corners, numbers = np.vstack(cell) * zoom, np.concatenate(owners)
    order = (numbers == chosen).argsort(kind='stable')  # the chosen on top
    x1, y1, x2, y2 = corners[order].T
    axes.add_collection(
        PolyCollection(
            np.stack([[x1, x2, x2, x1], [y1, y1, y2, y2]]).transpose(2, 1, 0),
            facecolors='none',
            edgecolors=[nth_colour(number) for number in numbers[order]],
            linewidths=np.where(numbers[order] == chosen, 3.0, 0.8),
        ),
        autolim=False,
    )
    height, width = small.shape[:2]
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return pixels(axes.figure)


def contributions(
    rows: Sequence[Row],
    found: Mapping[int, int],
    beyond: set[int],
    guessed: bool,
    covered: Counter | None,
    chosen: int | None,
) -> str:
    """HTML table of what every anchor brings.

    Args:
        rows (Sequence[Row]): The anchors.
        found (Mapping[int, int]): Detections that are shown, by row.
        beyond (set[int]): Rows of shapes that were not trained.
        guessed (bool): Whether the model extrapolates to these.
        covered (Counter, optional): Boxes that a row covers best.
        chosen (int, optional): The row to mark.
    """
    most = max([1, *found.values()])
    head, notes = '<th></th><th>size, px</th><th>detections</th>', []
    if covered is not None:
        head += '<th>boxes</th>'
        notes.append('boxes: of all annotated ones, those that it fits best')
    if beyond:
        notes.append(
            '*: a shape beyond those that were trained, '
            + ('guessed' if guessed else 'which detects what the nearest does')
        )
    lines = []
    for index, row in enumerate(rows):
        colour = nth_colour(index)
        letters = 'black' if is_light(colour) else 'white'
        number = found.get(index, 0)
        size = f'{row.level}: {row.width:.1f} × {row.height:.1f}'
        if index in beyond:
            size += ' *'
        cells = (
            f'<td><b style="background:{colour};color:{letters}">'
            f'{index + 1}</b></td><td>{size}</td>'
            f'<td><i style="background:{colour};'
            f'width:{5 * number / most:.2f}em"></i>{number}</td>'
        )
        if covered is not None:
            cells += f'<td>{covered[index]}</td>'
        mark = ' class="chosen"' if index == chosen else ''
        lines.append(f'<tr{mark}>{cells}</tr>')
    return (
        f'<table class="contributions"><tr>{head}</tr>{"".join(lines)}</table>'
        f'<p>{"<br>".join(notes)}</p>'
    )


def coverage(groups: Sequence[dict], of: int) -> str:
    """HTML table of how anchors cover boxes.

    Args:
        groups (Sequence[dict]): As :func:`summarise_cover` gives them.
        of (int): Number of boxes of the data set.
    """
    names = [name.replace('_', ' ') for name in groups[0]]
    head = ''.join(f'<th>{name}</th>' for name in names)
    lines = []
    for group in groups:
        name, number, *shares = group.values()
        cells = [str(name), str(number), *(f'{100 * s:.1f} %' for s in shares)]
        lines.append(''.join(f'<td>{escape(cell)}</td>' for cell in cells))
    body = ''.join(f'<tr>{line}</tr>' for line in lines)
    note = ''
    if groups[0]['boxes'] < of:
        note = f'<p>{groups[0]["boxes"]} of the {of} boxes, at random.</p>'
    return f'<table class="coverage"><tr>{head}</tr>{body}</table>{note}'


def _shrunk(image: np.ndarray) -> tuple[np.ndarray, float]:
    """An image of at most 1000 px, and its scale: quicker to draw."""
    zoom = SHOWN / max(image.shape[:2])
    if zoom >= 1:
        return image, 1.0
    size = [max(1, round(side * zoom)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), zoom


def _whole_picture(image: np.ndarray) -> tuple[Axes, float]:
    """Axes of a new figure that an image fills, and its width in inches."""
    share = image.shape[0] / image.shape[1]
    width = WIDTH * min(1, MOST_HEIGHT / share)
    figure = Figure(figsize=(width, max(width * share, 0.1)), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis('off')
    return axes, width
