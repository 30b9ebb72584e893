"""The pictures of the report, and reading from a model what they show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmdet_metaanchor.anchors.drawing import (
    above_threshold,
    draw_boxes,
    image_grid,
    outline_anchors,
    save,
)

from ..metrics import read_metrics
from .report import SCORE_THR
from .twins import Scalars
from .views import Sample, View

MODEL_COLOURS = ('#0072B2', '#D55E00')  # Okabe and Ito's blue and vermilion
LOSSES = {
    'loss': 'total loss',
    'loss_cls': 'classification loss',
    'loss_bbox': 'box loss',
}
SMOOTHING = 5  # logged losses in a mean of the strong line


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
    save(figure, path)


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
    grid = image_grid(len(samples), len(columns), samples[0].image)
    for row, (axes_row, sample) in enumerate(zip(grid, samples, strict=True)):
        for axes, (name, boxes) in zip(axes_row, columns.items(), strict=True):
            shown = above_threshold(boxes[row], SCORE_THR)
            draw_boxes(axes, sample.image, shown, sample.classes)
            if row == 0:
                axes.set_title(name)
        axes_row[0].set_ylabel(sample.name)
    save(axes.figure, path)


def draw_anchors(path: Path, sample: Sample, views: dict[str, View]) -> None:
    """A column an anchor set: its anchors, and the detections with them.

    Args:
        path (Path): The PNG file.
        sample (Sample): The first of the samples.
        views (dict[str, View]): By name of the anchor set.
    """
    grid = image_grid(2, len(views), sample.image)
    for (above, below), (name, view) in zip(
        grid.T, views.items(), strict=True
    ):
        outline_anchors(above, sample.image, view.anchors)
        plural = 's' if view.per_cell > 1 else ''
        above.set_title(f'{name}: {view.per_cell} anchor{plural} per cell')
        shown = above_threshold(view.detections[0], SCORE_THR)
        draw_boxes(below, sample.image, shown, sample.classes)
    grid[0, 0].set_ylabel('anchors of one cell')
    grid[1, 0].set_ylabel('detections')
    save(above.figure, path)


def _smooth(values: Sequence[float]) -> np.ndarray:
    """Mean of ``SMOOTHING`` neighbours, only where all of them exist."""
    window = min(SMOOTHING, len(values))
    return np.convolve(values, np.full(window, 1 / window), 'valid')
