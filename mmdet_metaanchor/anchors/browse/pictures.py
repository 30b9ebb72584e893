"""The three pictures of an image: one cell, each anchor alone, the sets."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..drawing import (
    ANCHOR_COLOURS,
    DrawnBoxes,
    draw_boxes,
    fill_grid,
    form_colour,
    image_grid,
    outline_anchors,
    rectangle,
    save,
)
from .views import AnchorView, SetView

PANEL = 3.2  # inches, the width of a panel where there are many
ZOOM = 2  # at most, of the panels of small anchors
MARGIN = 1.15  # of a panel around its anchors
GLYPH = 0.36  # inches, the shape of an anchor beside its title
LINE, HEADER = 0.18, 0.55  # inches, a line of a title, and that of a set
MOST_LETTERS = 60  # of the name of a set


def draw_cell(
    path: Path, image: np.ndarray, views: Mapping[str, SetView]
) -> None:
    """A row per set, a column per level: the anchors of one cell.

    Levels of small anchors are enlarged, those of anchors larger than the
    image made smaller, alike in all sets; the ticks are px of the image.

    Args:
        path (Path): The PNG file.
        image (np.ndarray): (H, W, 3) RGB uint8.
        views (dict[str, SetView]): By name of the set.
    """
    strides = next(iter(views.values())).strides
    grid = image_grid(len(views), len(strides), image, PANEL, 2)
    windows = [
        window(np.vstack(corners), image)
        for corners in zip(*(v.cell for v in views.values()), strict=True)
    ]
    for axes_row, (name, view) in zip(grid, views.items(), strict=True):
        for axes, corners, (x1, y1, x2, y2), stride in zip(
            axes_row, view.cell, windows, strides, strict=True
        ):
            # Thin, and the large ones first, so that many hide few.
            linewidth = max(0.5, min(1.5, 4.5 / len(corners) ** 0.5))
            areas = (corners[:, 2:] - corners[:, :2]).prod(1)
            order = areas.argsort()[::-1]
            outline_anchors(axes, image, corners[order], linewidth)
            x, y = (corners[0, :2] + corners[0, 2:]) / 2
            axes.plot(x, y, '+', color='black', markersize=7)
            axes.set(xlim=(x1, x2), ylim=(y2, y1))
            axes.set_title(f'stride {stride}: {_extent(corners)}', size=9)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, integer=True))
            axes.tick_params(labelsize=7)
        axes_row[0].set_ylabel(f'{_short(name, 28)}\n{_per_cell(view)}')
    figure = grid[0, 0].figure
    figure.suptitle(
        'anchors of the cell nearest to the centre, in px of the image'
    )
    figure.legend(
        handles=[
            Line2D([], [], color=colour, label=form)
            for form, colour in ANCHOR_COLOURS.items()
        ],
        loc='outside lower center',
        ncols=len(ANCHOR_COLOURS),
        frameon=False,
    )
    save(figure, path)


def draw_each(
    path: Path,
    image: np.ndarray,
    alone: Mapping[str, Mapping[int, AnchorView]],
    views: Mapping[str, SetView],
    classes: Sequence[str],
) -> None:
    """A block per set, a panel per anchor: what it detects alone.

    Over a panel stand the shape of the anchor, to the scale of its set, and
    its size (w x h) at the lowest and the highest level, in px of the
    resized image, as sets are given.

    Args:
        path (Path): The PNG file.
        image (np.ndarray): (H, W, 3) RGB uint8.
        alone (dict[str, dict[int, AnchorView]]): By name of the set and
            index of the anchor.
        views (dict[str, SetView]): By name of the set.
        classes (Sequence[str]): Name of every label.
    """
    most = max(map(len, alone.values()))
    columns = max(min(most, 3), math.ceil(math.sqrt(most)))
    rows, titles, heights = [], [], []
    height = PANEL * image.shape[0] / image.shape[1] + 3 * LINE
    for name, anchors in alone.items():
        title = 'each anchor alone, px as resized'
        number = max(map(len, views[name].cell))
        if number > len(anchors):
            title += f'; {len(anchors)} of {number}, '
            title += f'{number - len(anchors)} left out'
        letters = 36 * columns  # as many as fit in 11 pt
        titles.append(f'{_short(name, letters)}\n{fill(title, letters)}')
        rows.append(math.ceil(len(anchors) / columns))
        above = HEADER + LINE * titles[-1].count('\n')
        heights.append(rows[-1] * height + above)
    figure = Figure(
        figsize=(PANEL * columns, sum(heights)), layout='constrained'
    )
    blocks = figure.subfigures(
        len(rows), 1, squeeze=False, height_ratios=heights
    )
    for block, number, title, anchors in zip(
        blocks[:, 0], rows, titles, alone.values(), strict=True
    ):
        block.suptitle(title, size=11)
        grid = fill_grid(block, number, columns).flat
        side = max(anchor.sizes[0].max() for anchor in anchors.values())
        for axes, (index, anchor) in zip(grid, anchors.items(), strict=False):
            draw_boxes(axes, image, anchor.detections, classes, PANEL)
            _title_anchor(axes, image, index, anchor, side)
        for axes in list(block.axes)[len(anchors) :]:
            axes.set_visible(False)
    save(figure, path)


def draw_sets(
    path: Path,
    image: np.ndarray,
    views: Mapping[str, SetView],
    classes: Sequence[str],
) -> None:
    """What sets of anchors detect, side by side, at most four in a row.

    Args:
        path (Path): The PNG file.
        image (np.ndarray): (H, W, 3) RGB uint8.
        views (dict[str, SetView]): By name of the set.
        classes (Sequence[str]): Name of every label.
    """
    columns = min(len(views), 4)
    rows = math.ceil(len(views) / columns)
    titles = []
    for name, view in views.items():
        found = _number_of(view.detections)
        titles.append(f'{_short(name, 45)}\n{_per_cell(view)}, {found}')
    lines = 1 + max(title.count('\n') for title in titles)
    grid = image_grid(rows, columns, image, title_lines=lines)
    for axes, title, view in zip(
        grid.flat, titles, views.values(), strict=False
    ):
        draw_boxes(axes, image, view.detections, classes)
        axes.set_title(title, size=10)
    for axes in grid.flat[len(views) :]:
        axes.set_visible(False)
    save(grid[0, 0].figure, path)


def window(
    corners: np.ndarray, image: np.ndarray, zoom: float = ZOOM
) -> np.ndarray:
    """(x1, y1, x2, y2) px to show, of the image's shape, for boxes.

    Args:
        corners (np.ndarray): (n, 4), (x1, y1, x2, y2) in px of the image.
        image (np.ndarray): (H, W, 3).
        zoom (float): How much small boxes are enlarged, at most.
    """
    height, width = image.shape[:2]
    size = np.array([width, height])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    share = max((MARGIN * (high - low) / size).max(), 1 / zoom)
    first = (low + high) / 2 - share * size / 2
    if share < 1:
        first = first.clip(0, size - share * size)
    return np.concatenate([first, first + share * size])


def _title_anchor(
    axes: Axes, image: np.ndarray, index: int, view: AnchorView, side: float
) -> None:
    """Title of a panel, and left of it the shape of the anchor."""
    low, high = (f'{w:.0f} x {h:.0f}' for w, h in view.sizes[[0, -1]])
    w, h = view.sizes[0]
    found = _number_of(view.detections)
    axes.set_title(
        f'{index}: h / w {h / w:.2g}, {low} .. {high} px\n{found}',
        loc='right',
        y=1.0,  # not above the shape beside it
        size=9,
    )
    height = PANEL * image.shape[0] / image.shape[1]
    glyph = axes.inset_axes([0, 1.02, GLYPH / PANEL, GLYPH / height])
    corners = np.array([-w, -h, w, h]) / 2
    glyph.add_patch(rectangle(corners, form_colour(corners), 1.5))
    half = 0.55 * side
    glyph.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])
    glyph.axis('off')


def _extent(corners: np.ndarray) -> str:
    """Least and greatest side of anchors."""
    sides = corners[:, 2:] - corners[:, :2]
    low, high = f'{sides.min():.0f}', f'{sides.max():.0f}'
    return f'sides {_span(low, high)} px'


def _per_cell(view: SetView) -> str:
    numbers = [len(corners) for corners in view.cell]
    plural = '' if max(numbers) == 1 else 's'
    return f'{_span(min(numbers), max(numbers))} anchor{plural} per cell'


def _span(low: object, high: object) -> str:
    return f'{low}' if low == high else f'{low} to {high}'


def _number_of(boxes: DrawnBoxes) -> str:
    number = len(boxes.corners)
    return f'{number} detection{"" if number == 1 else "s"}'


def _short(name: str, letters: int = MOST_LETTERS) -> str:
    """A name of a set in lines, both ends of it where it is long."""
    if len(name) > MOST_LETTERS:
        half = MOST_LETTERS // 2
        name = f'{name[:half]} ... {name[-half:]}'
    return fill(name, letters)
