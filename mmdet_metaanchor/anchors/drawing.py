"""Drawing over images: boxes with class and score, and outlines of anchors."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from ..runtime.files import replacing

# Paul Tol's muted scheme, which colour-blind readers can tell apart.
CLASS_COLOURS = (
    '#88CCEE',
    '#CC6677',
    '#DDCC77',
    '#117733',
    '#332288',
    '#AA4499',
    '#44AA99',
    '#999933',
    '#882255',
    '#DDDDDD',
)
# Okabe and Ito's blue, vermilion and green.
ANCHOR_COLOURS = {'wide': '#0072B2', 'square': '#D55E00', 'tall': '#009E73'}
PANEL = 4.3  # inches, the width of a picture in which text is 9 pt
DPI = 150


class DrawnBoxes(NamedTuple):
    """Boxes to draw, in px of the image file; ground truth has no scores."""

    corners: np.ndarray  # (N, 4) x1, y1, x2, y2
    labels: np.ndarray  # (N,) index of the class
    scores: np.ndarray | None = None  # (N,) in [0, 1]
    anchors: np.ndarray | None = None  # (N,) number of the anchor, from 0


def above_threshold(boxes: DrawnBoxes, score_thr: float) -> DrawnBoxes:
    """The boxes whose score is above ``score_thr``; of the truth, all."""
    if boxes.scores is None:
        return boxes
    keep = boxes.scores > score_thr
    return DrawnBoxes(
        *(None if field is None else field[keep] for field in boxes)
    )


def image_grid(
    rows: int,
    columns: int,
    image: np.ndarray,
    panel: float = PANEL,
    title_lines: int = 1,
) -> np.ndarray:
    """A new figure of pictures without ticks.

    Args:
        rows (int): Rows of pictures.
        columns (int): Columns.
        image (np.ndarray): (H, W, 3), the shape of the pictures.
        panel (float): Width of a picture in inches.
        title_lines (int): Lines of 12 pt to leave above each row but the
            first, which has more.

    Returns:
        np.ndarray: (rows, columns) axes.
    """
    height, width = image.shape[:2]
    above = 0.15 + 0.2 * (title_lines - 1)
    size = (panel * columns, (panel * height / width + above) * rows + 0.3)
    figure = Figure(figsize=size, layout='constrained')
    return fill_grid(figure, rows, columns)


def fill_grid(figure: FigureBase, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) axes without ticks in a figure or a part of one."""
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return grid


def draw_boxes(
    axes: Axes,
    image: np.ndarray,
    boxes: DrawnBoxes,
    classes: Sequence[str],
    panel: float = PANEL,
) -> None:
    """An image with boxes, their classes and their scores in percent.

    Boxes whose anchors are known have the colours and the numbers, from 1,
    of these, others the colours of their classes.

    In lines and letters of a figure. MMDetection's DetLocalVisualizer draws
    in the pixels of the image, where a small one has no room for letters.

    Args:
        axes (Axes): Where.
        image (np.ndarray): (H, W, 3) RGB uint8.
        boxes (DrawnBoxes): All of them are drawn.
        classes (Sequence[str]): Name of every label.
        panel (float): Width of the picture in inches; text and lines grow
            with it.
    """
    axes.imshow(image)
    height, width = image.shape[:2]
    zoom = panel / PANEL
    letter = width / 35  # px of the image, the most that 9 pt take
    order = range(len(boxes.labels))
    if boxes.scores is not None:  # the surest ones on top of the others
        order = boxes.scores.argsort()
    for index in order:
        corners, label = boxes.corners[index], boxes.labels[index]
        x1, y1 = corners[:2]
        number = label if boxes.anchors is None else boxes.anchors[index]
        colour = nth_colour(number)
        frame = rectangle(corners, colour, 2 * zoom)
        # A dark rim, to be seen on any ground.
        rim = withStroke(linewidth=3.5 * zoom, foreground='black')
        frame.set_path_effects([rim])
        axes.add_artist(frame)  # as a patch it would move the limits, slowly
        text = classes[label]
        if boxes.scores is not None:
            text += f' {100 * boxes.scores[index]:.0f}%'
        if boxes.anchors is not None:
            text += f' #{number + 1}'
        # Above the box, or in it where the picture ends.
        above = y1 > 1.5 * letter
        axes.text(
            np.clip(x1, 0, max(width - letter * len(text), 0)),
            y1 - letter / 9 if above else max(y1, 0) + letter / 9,
            text,
            va='bottom' if above else 'top',
            fontsize=9 * zoom,
            color='black' if is_light(colour) else 'white',
            bbox=dict(
                facecolor=colour,
                edgecolor='black',
                pad=1.2 * zoom,
                lw=0.7 * zoom,
            ),
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def nth_colour(number: int) -> str:
    """Colour of a class or of an anchor; the eleventh has the first again."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


def is_light(colour: str) -> bool:
    """Whether letters on a colour have to be black."""
    red, green, blue = to_rgb(colour)
    return 0.3 * red + 0.6 * green + 0.1 * blue > 0.45


def outline_anchors(
    axes: Axes, image: np.ndarray, corners: np.ndarray, linewidth: float = 1.5
) -> None:
    """Anchors over a pale image, their form told by ``ANCHOR_COLOURS``.

    Args:
        axes (Axes): Where.
        image (np.ndarray): (H, W, 3) RGB uint8.
        corners (np.ndarray): (A, 4), (x1, y1, x2, y2) in px of the image.
        linewidth (float): In pt.
    """
    axes.imshow(image, alpha=0.45)
    for anchor in corners:
        axes.add_patch(rectangle(anchor, form_colour(anchor), linewidth))
    height, width = image.shape[:2]
    axes.set(xlim=(0, width), ylim=(height, 0))


def form_colour(corners: np.ndarray) -> str:
    """Colour of an anchor (x1, y1, x2, y2): wide, square or tall."""
    x1, y1, x2, y2 = corners
    # -1 for wide anchors, 0 for square and 1 for tall ones.
    form = np.sign(np.log((y2 - y1) / (x2 - x1)).round(2))
    return list(ANCHOR_COLOURS.values())[int(form) + 1]


def rectangle(corners: np.ndarray, colour: str, linewidth: float) -> Patch:
    """Outline of a box (x1, y1, x2, y2); the line's width is in pt."""
    x1, y1, x2, y2 = corners
    return Rectangle(
        (x1, y1),
        x2 - x1,
        y2 - y1,
        fill=False,
        edgecolor=colour,
        linewidth=linewidth,
    )


def pixels(figure: Figure) -> np.ndarray:
    """(H, W, 3) RGB uint8 of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file, in one go."""
    with replacing(path) as part:
        figure.savefig(part, format='png', dpi=DPI, bbox_inches='tight')
