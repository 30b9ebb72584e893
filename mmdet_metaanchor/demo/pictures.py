"""The pictures of the report, and reading from a model what they show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from ..files import replacing
from .report import SCORE_THR, read_metrics
from .twins import Scalars
from .views import Boxes, Sample, View

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
MODEL_COLOURS = ('#0072B2', '#D55E00')  # Okabe and Ito's blue and vermilion
ANCHOR_COLOURS = ('#0072B2', '#D55E00', '#009E73')  # wide, square, tall
LOSSES = {
    'loss': 'total loss',
    'loss_cls': 'classification loss',
    'loss_bbox': 'box loss',
}
SMOOTHING = 5  # logged losses in a mean of the strong line
DPI = 150


def draw_curves(path: Path, scalars: dict[str, Scalars]) -> None:
    """Losses over iterations and val mAP over epochs, a colour a model.

    Args:
        path (Path): The PNG file.
        scalars (dict[str, Scalars]): By name of the model.
    """
    figure = Figure(figsize=(12, 8), layout='constrained')
    *panels, last = figure.subplots(2, 2).flat
    for (name, log), colour in zip(
        scalars.items(), MODEL_COLOURS, strict=True
    ):
        steps = list(log.train)
        for axes, (key, title) in zip(panels, LOSSES.items(), strict=True):
            losses = [line[key] for line in log.train.values()]
            axes.plot(steps, losses, color=colour, alpha=0.35, linewidth=1)
            axes.plot(
                _smooth(steps),
                _smooth(losses),
                color=colour,
                linewidth=2,
                label=name,
            )
            axes.set(title=title, xlabel='iteration')
        scores = [100 * read_metrics(m)['mAP'] for m in log.val.values()]
        last.plot(list(log.val), scores, 'o-', color=colour, label=name)
    last.set(title='mAP on val (%)', xlabel='epoch')
    last.xaxis.get_major_locator().set_params(integer=True)
    for axes in (*panels, last):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
        axes.legend(frameon=False)
    _save(figure, path)


def draw_detections(
    path: Path, samples: Sequence[Sample], views: dict[str, View]
) -> None:
    """A row a sample: the truth, then the detections of every model.

    Args:
        path (Path): The PNG file.
        samples (Sequence[Sample]): The images.
        views (dict[str, View]): By name of the model.
    """
    columns = {'truth': [sample.truth for sample in samples]}
    columns.update({name: view.detections for name, view in views.items()})
    grid = _image_grid(len(samples), len(columns), samples[0].image)
    for row, (axes_row, sample) in enumerate(zip(grid, samples, strict=True)):
        for axes, (name, boxes) in zip(axes_row, columns.items(), strict=True):
            _draw_boxes(axes, sample, boxes[row])
            if row == 0:
                axes.set_title(name)
        axes_row[0].set_ylabel(sample.name)
    _save(axes.figure, path)


def draw_anchors(path: Path, sample: Sample, views: dict[str, View]) -> None:
    """A column an anchor set: its anchors, and the detections with them.

    Args:
        path (Path): The PNG file.
        sample (Sample): The first of the samples.
        views (dict[str, View]): By name of the anchor set.
    """
    grid = _image_grid(2, len(views), sample.image)
    height, width = sample.image.shape[:2]
    for (above, below), (name, view) in zip(
        grid.T, views.items(), strict=True
    ):
        above.imshow(sample.image, alpha=0.45)
        for corners in view.anchors:
            x1, y1, x2, y2 = corners
            # -1 for wide anchors, 0 for square and 1 for tall ones.
            form = np.sign(np.log((y2 - y1) / (x2 - x1)).round(2))
            above.add_patch(
                _rectangle(corners, ANCHOR_COLOURS[int(form) + 1], 1.5)
            )
        above.set(xlim=(0, width), ylim=(height, 0))
        plural = 's' if view.per_cell > 1 else ''
        above.set_title(f'{name}: {view.per_cell} anchor{plural} per cell')
        _draw_boxes(below, sample, view.detections[0])
    grid[0, 0].set_ylabel('anchors of one cell')
    grid[1, 0].set_ylabel('detections')
    _save(above.figure, path)


def _image_grid(rows: int, columns: int, image: np.ndarray) -> np.ndarray:
    """(rows, columns) axes for pictures of the shape of ``image``."""
    height, width = image.shape[:2]
    size = (4.3 * columns, (4.3 * height / width + 0.15) * rows + 0.3)
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return grid


def _draw_boxes(axes: Axes, sample: Sample, boxes: Boxes) -> None:
    """The sample with boxes, their classes and their scores in percent."""
    axes.imshow(sample.image)
    height, width = sample.image.shape[:2]
    boxes = above_threshold(boxes)
    for index, (corners, label) in enumerate(
        zip(boxes.corners, boxes.labels, strict=True)
    ):
        x1, y1 = corners[:2]
        colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
        frame = _rectangle(corners, colour, 2)
        # A dark rim, to be seen on any ground.
        frame.set_path_effects([withStroke(linewidth=3.5, foreground='black')])
        axes.add_patch(frame)
        text = sample.classes[label]
        if boxes.scores is not None:
            text += f' {100 * boxes.scores[index]:.0f}%'
        # Above the box, or in it where the picture ends.
        above = y1 > 14
        red, green, blue = to_rgb(colour)
        light = 0.3 * red + 0.6 * green + 0.1 * blue > 0.45
        axes.text(
            np.clip(x1, 0, width - 9 * len(text)),
            y1 - 1 if above else max(y1, 0) + 1,
            text,
            va='bottom' if above else 'top',
            fontsize=9,
            color='black' if light else 'white',
            bbox=dict(facecolor=colour, edgecolor='black', pad=1.2, lw=0.7),
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def above_threshold(boxes: Boxes, score_thr: float = SCORE_THR) -> Boxes:
    """The boxes whose score is above ``score_thr``; of the truth, all."""
    if boxes.scores is None:
        return boxes
    keep = boxes.scores > score_thr
    return Boxes(*(field[keep] for field in boxes))


def _rectangle(corners: np.ndarray, colour: str, linewidth: float) -> Patch:
    x1, y1, x2, y2 = corners
    return Rectangle(
        (x1, y1),
        x2 - x1,
        y2 - y1,
        fill=False,
        edgecolor=colour,
        linewidth=linewidth,
    )


def _smooth(values: Sequence[float]) -> np.ndarray:
    """Mean of ``SMOOTHING`` neighbours, only where all of them exist."""
    window = min(SMOOTHING, len(values))
    return np.convolve(values, np.full(window, 1 / window), 'valid')


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, format='png', dpi=DPI)
