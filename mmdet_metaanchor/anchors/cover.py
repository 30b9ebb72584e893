"""How well a set of anchors covers the boxes of a data set."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from mmdet.models.task_modules.prior_generators import AnchorGenerator

from ..runtime.files import replacing
from .boxes import Boxes

THRESHOLDS = (0.4, 0.5, 0.6)
# YOLOv5 trains an anchor on a box where no side differs by more than this.
MAX_SIDE_RATIO = 4.0
# COCO's small, medium and large, by area in px.
SIZES = {
    'small': (0, 32**2),
    'medium': (32**2, 96**2),
    'large': (96**2, np.inf),
}
DPI = 150


class Cover(NamedTuple):
    """The best anchor of every box.

    ``iou`` (n,), of the box with the best anchor where that anchor's cells
    are; ``level`` (n,) and ``anchor`` (n,), which one that is; ``side_ratio``
    (n,), the larger of the ratios of the sides, either way, with the anchor
    for which it is least.
    """

    iou: np.ndarray
    level: np.ndarray
    anchor: np.ndarray
    side_ratio: np.ndarray


def cover(boxes: Boxes, generator: AnchorGenerator) -> Cover:
    """Find the best anchor of every box.

    Of the priors of one anchor the one at the nearest cell has the highest
    IoU with a box, so only that one is compared.

    Args:
        boxes (Boxes): The boxes.
        generator (AnchorGenerator): The anchors.

    Returns:
        Cover: The best ones.
    """
    number = len(boxes.boxes)
    best = Cover(
        np.full(number, -1.0),
        np.zeros(number, int),
        np.zeros(number, int),
        np.full(number, np.inf),
    )
    middles = (boxes.boxes[:, :2] + boxes.boxes[:, 2:]) / 2
    sizes = boxes.sizes
    for level, (stride, anchors) in enumerate(
        zip(generator.strides, generator.base_anchors, strict=True)
    ):
        cells = np.ceil(boxes.image_sizes / stride)
        for index, anchor in enumerate(anchors.double().cpu().numpy()):
            first, size = (
                (anchor[:2] + anchor[2:]) / 2,
                anchor[2:] - anchor[:2],
            )
            cell = ((middles - first) / stride).round().clip(0, cells - 1)
            away = np.abs(middles - first - cell * stride)
            shared = (sizes + size) / 2 - away
            shared = np.minimum(shared, np.minimum(sizes, size)).clip(0)
            overlap = shared.prod(1)
            iou = overlap / (sizes.prod(1) + size.prod() - overlap)
            better = iou > best.iou
            best.iou[better] = iou[better]
            best.level[better], best.anchor[better] = level, index
            ratio = np.maximum(sizes / size, size / sizes).max(1)
            np.minimum(best.side_ratio, ratio, out=best.side_ratio)
    return best


def summarise_cover(boxes: Boxes, found: Cover) -> list[dict]:
    """Shares of all boxes, of COCO's sizes and of the classes.

    Args:
        boxes (Boxes): The boxes.
        found (Cover): Their best anchors.

    Returns:
        list[dict]: A row for each group that has boxes: ``group``, number of
        ``boxes``, shares ``iou_0.4`` and so on whose best IoU reaches that,
        ``mean_iou``, and ``best_possible_recall`` as YOLOv5 counts it.
    """
    rows = []
    for name, members in _kinds(boxes):
        if members.any():
            iou = found.iou[members]
            reached = found.side_ratio[members] < MAX_SIDE_RATIO
            shares = {f'iou_{t}': float((iou >= t).mean()) for t in THRESHOLDS}
            rows.append(
                dict(
                    group=name,
                    boxes=int(members.sum()),
                    **shares,
                    mean_iou=float(iou.mean()),
                    best_possible_recall=float(reached.mean()),
                )
            )
    return rows


def unreached(boxes: Boxes, found: Cover) -> list[dict]:
    """Boxes whose best IoU is below the lowest threshold, worst first."""
    order = found.iou.argsort(kind='stable')
    return [
        dict(
            file=boxes.files[i],
            class_name=boxes.classes[boxes.labels[i]],
            box=boxes.boxes[i].round(1).tolist(),
            iou=round(float(found.iou[i]), 3),
        )
        for i in order[found.iou[order] < min(THRESHOLDS)]
    ]


def draw_cover(
    path: Path, boxes: Boxes, found: Cover, generator: AnchorGenerator
) -> None:
    """Boxes by width and height, coloured by best IoU, under the anchors.

    Args:
        path (Path): The PNG file.
        boxes (Boxes): The boxes.
        found (Cover): Their best anchors.
        generator (AnchorGenerator): The anchors.
    """
    figure = Figure(figsize=(8, 7), layout='constrained')
    axes = figure.subplots()
    points = axes.scatter(
        *boxes.sizes.T, c=found.iou, s=8, vmin=0, vmax=1, cmap='viridis'
    )
    figure.colorbar(points, label='best IoU')
    for level, anchors in enumerate(generator.base_anchors):
        sizes = (anchors[:, 2:] - anchors[:, :2]).numpy()
        axes.scatter(
            *sizes.T,
            marker=f'${level + 1}$',
            s=70,
            color='#D55E00',
            label=f'anchors, stride {generator.strides[level][0]} px',
        )
    axes.set(xscale='log', yscale='log', xlabel='width, px')
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter('{x:g}')
        axis.set_minor_formatter(NullFormatter())
    axes.set(ylabel='height, px', title=f'{len(boxes.boxes)} boxes')
    axes.legend(loc='upper left')
    axes.grid(alpha=0.3)
    with replacing(path) as part:
        figure.savefig(part, dpi=DPI, format='png')


def _kinds(boxes: Boxes) -> Iterator[tuple[str, np.ndarray]]:
    yield 'all', np.ones(len(boxes.boxes), bool)
    for name, (low, high) in SIZES.items():
        yield name, (boxes.areas >= low) & (boxes.areas < high)
    for label, name in enumerate(boxes.classes):
        yield name, boxes.labels == label
