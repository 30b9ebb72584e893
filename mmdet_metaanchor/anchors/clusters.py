"""Dimension clusters: anchors from the boxes of a data set."""

import logging

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from tqdm import tqdm

from ..method.prior_generator import MetaAnchorGenerator
from ..method.shape_range import nearest, range_of_level

# With this distance, means need not settle; they do within some tens.
MAX_ROUNDS = 300
# An anchor serves a box from this IoU of their shapes: what MMDetection's
# detectors call positive.
SERVED = 0.5
# Sizes that anchors are made of: minutes for COCO's 860 000, not hours.
MOST_SIZES = 20_000


def dimension_clusters(
    sizes: np.ndarray, number: int, seed: int = 0, restarts: int = 10
) -> np.ndarray:
    r"""Cluster widths and heights by the IoU of shapes.

    k-means with the distance :math:`1 - IoU` of boxes at the same centre
    (`YOLO9000 <https://arxiv.org/abs/1612.08242>`_, section 2): boxes join
    the cluster of highest IoU, clusters move to the mean of their boxes,
    until nothing changes. Starts are drawn as k-means++ draws them, with
    a probability proportional to the squared distance. The start with the
    highest mean IoU wins.

    Args:
        sizes (ndarray): (n, 2) sizes (w, h) in px.
        number (int): Number of clusters.
        seed (int): Of the draws. Defaults to 0.
        restarts (int): Number of starts. Defaults to 10.

    Returns:
        ndarray: (number, 2) sizes (w, h) in px, by area.

    Raises:
        ValueError: A size is not positive and finite, or there are fewer
            distinct sizes than clusters.
    """
    sizes = _check_sizes(sizes)
    distinct = _distinct(sizes)
    if not 1 <= number <= distinct:
        raise ValueError(
            f'number must be from 1 to the {distinct} distinct sizes, got '
            f'{number}'
        )
    rng = np.random.default_rng(seed)
    runs = [_run(rng, sizes, number) for _ in range(restarts)]
    best = max(runs, key=lambda run: mean_iou(sizes, run))
    return best[best.prod(1).argsort()]


def cluster_anchors(
    sizes: np.ndarray,
    generator: MetaAnchorGenerator,
    number: int | None = None,
    per_level: bool = False,
    seed: int = 0,
    shape_range: Tensor | None = None,
    beyond_range: bool = False,
    by_size: bool = False,
) -> list[list[tuple[float, float]]]:
    r"""Anchors for every level of a pyramid from the boxes of a data set.

    A box of size s, the square root of its area, belongs to the level whose
    standard box has the nearest size in log-space. Boxes are measured in
    units of the standard box of their level, clustered, and measured in px
    again at every level. Anchors of sizes and ratios beyond those that a model
    was trained with bring nothing, or are guessed
    (:class:`.method.meta_head.MetaHeadMixin`); so a box beyond them counts as
    the nearest one within, and a warning says how many boxes that leaves
    without an anchor that fits. Of more than 20 000 sizes a random part is
    clustered.

    With ``by_size`` it is done as published for YOLOv3: boxes are clustered
    in px, ``number`` clusters for each level, and the smallest go to the level
    of the smallest stride, and so on. A cluster beyond what was trained moves
    to the nearest shape within.

    Args:
        sizes (ndarray): (n, 2) sizes (w, h) in px.
        generator (MetaAnchorGenerator): The training anchors.
        number (int, optional): Anchors per level. Defaults to the
            :func:`knee` of the mean IoU against their number, and to 3 with
            ``by_size``, as published.
        per_level (bool): Whether every level gets clusters of its own boxes,
            where it has enough of them, or all levels share theirs. Defaults
            to False.
        seed (int): Of :func:`dimension_clusters`, and of that part.
        shape_range (Tensor, optional): (1 or levels, 64), what was trained,
            as the head of a trained model has it; NaN where it is not known.
            Defaults to that of ``generator``, of all levels together if
            these share a standard box.
        beyond_range (bool): Whether to use boxes as they are, however far
            they lie from what was trained. Defaults to False.
        by_size (bool): Whether levels get clusters by their size, see above.
            Defaults to False.

    Returns:
        list[list[tuple[float, float]]]: Sizes (w, h) in px, one list per
        level, for :func:`customize_anchors`.

    Raises:
        ValueError: See :func:`dimension_clusters`; or both ``per_level`` and
            ``by_size``.
    """
    if per_level and by_size:
        raise ValueError(
            'clusters are of the boxes of a level (per_level), or go to the '
            'levels by their size (by_size), not both'
        )
    sizes = _check_sizes(sizes)
    if shape_range is None:
        shape_range = generator.shape_range()
        if len(generator.standard_boxes) == 1:
            shape_range = shape_range.amax(0, keepdim=True)
    if beyond_range:
        shape_range = torch.full_like(shape_range, torch.nan)
    units = generator.units.double()  # (AH, AW)
    shape_range = shape_range.to(units)
    if by_size:
        number, levels = 3 if number is None else number, len(units)
        sizes = _part(sizes, seed)
        distinct = _distinct(sizes)
        if not 1 <= number <= distinct // levels:
            raise ValueError(
                f'number must be from 1 to {distinct // levels}, as there are '
                f'{distinct} distinct sizes for {levels} levels, got {number}'
            )
        clusters = dimension_clusters(sizes, number * levels, seed)
        return _levels_by_size(clusters, generator, units, shape_range)
    wanted = torch.from_numpy(sizes).flip(1)  # (h, w)
    # The mean of the log sides is the log of the size.
    log_size, log_unit = wanted.log().mean(1), units.log().mean(1)
    level = (log_size[:, None] - log_unit).abs().argmin(1)
    codes = _within((wanted / units[level]).log(), level, shape_range)
    relative = codes.exp().flip(1).numpy()
    part = _part(relative, seed)
    if number is None:
        number = knee(part, seed)
    shared = dimension_clusters(part, number, seed)
    anchors = []
    for index, unit in enumerate(units.flip(1).numpy()):
        clusters = shared
        if per_level:
            own = _part(relative[level == index], seed)
            if _distinct(own) >= number:
                clusters = dimension_clusters(own, number, seed)
        anchors.append([tuple(s) for s in (clusters * unit).tolist()])
    return anchors


def _levels_by_size(
    clusters: np.ndarray,
    generator: MetaAnchorGenerator,
    units: Tensor,
    shape_range: Tensor,
) -> list[list[tuple[float, float]]]:
    """Clusters (w, h) in px, by area: the same number for every level."""
    order = sorted(
        range(generator.num_levels), key=lambda i: generator.strides[i]
    )
    anchors = [[] for _ in order]
    parts = torch.from_numpy(clusters).flip(1).chunk(len(order))
    for level, part in zip(order, parts, strict=True):
        codes = nearest(
            (part / units[level]).log(), range_of_level(shape_range, level)
        )
        moved = codes.exp() * units[level]
        anchors[level] = [tuple(size) for size in moved.flip(1).tolist()]
    return anchors


def _within(codes: Tensor, level: Tensor, shape_range: Tensor) -> Tensor:
    """Codes, (n, 2), moved into what was trained at their levels, (n,)."""
    within = codes.clone()
    for index in level.unique().tolist():
        within[level == index] = nearest(
            codes[level == index], range_of_level(shape_range, index)
        )
    iou = _shape_iou(codes.exp().numpy(), within.exp().numpy())
    lost = int((iou < SERVED).sum())
    if lost:
        print_log(
            f'{lost} of {len(codes)} boxes have an IoU below {SERVED} with '
            'every shape that the model is trained with, so that no anchor '
            'within fits them. To go beyond, use beyond_range=True or '
            '--beyond-range.',
            logger='current',
            level=logging.WARNING,
        )
    return within


def knee(sizes: np.ndarray, seed: int = 0, most: int = 15) -> int:
    """The number of clusters after which the mean IoU rises little.

    It is the one whose point lies farthest above the straight line from the
    first to the last, in a plot of the mean IoU against the number. Of more
    than 20 000 sizes a random part is enough to tell.

    Args:
        sizes (ndarray): (n, 2) sizes (w, h) in px.
        seed (int): Of :func:`dimension_clusters`.
        most (int): The largest number tried. Defaults to 15.

    Returns:
        int: The number.
    """
    sizes = _part(sizes, seed)
    most = min(most, _distinct(sizes))
    numbers = np.arange(1, most + 1)
    scores = np.array(
        [
            mean_iou(sizes, dimension_clusters(sizes, n, seed))
            for n in tqdm(numbers, 'numbers of clusters')
        ]
    )
    line = np.linspace(scores[0], scores[-1], most)
    return int(numbers[(scores - line).argmax()])


def shape_iou(sizes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """IoU of boxes at the same centre.

    Args:
        sizes (ndarray): (n, 2) sizes (w, h).
        clusters (ndarray): (k, 2) sizes (w, h).

    Returns:
        ndarray: (n, k) IoU.
    """
    return _shape_iou(sizes[:, None], clusters)


def _shape_iou(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of centred boxes; (..., 2) sizes that broadcast."""
    overlap = np.minimum(sizes, others).prod(-1)
    return overlap / (sizes.prod(-1) + others.prod(-1) - overlap)


def mean_iou(sizes: np.ndarray, clusters: np.ndarray) -> float:
    """Mean of the highest IoU of shapes that every box has with a cluster."""
    return float(shape_iou(sizes, clusters).max(1).mean())


def _part(sizes: np.ndarray, seed: int) -> np.ndarray:
    """All sizes, or as many of them as can be clustered in minutes."""
    if len(sizes) <= MOST_SIZES:
        return sizes
    rng = np.random.default_rng(seed)
    return rng.choice(sizes, MOST_SIZES, replace=False)


def _check_sizes(sizes: np.ndarray) -> np.ndarray:
    """(n, 2) sizes in px, all of which a box can have."""
    sizes = np.asarray(sizes, dtype=float).reshape(-1, 2)
    bad = ~((sizes > 0) & np.isfinite(sizes)).all(1)
    if bad.any():
        raise ValueError(
            'sizes must be positive and finite (w, h) in px, got '
            f'{sizes[bad][0].tolist()}'
        )
    return sizes


def _distinct(sizes: np.ndarray) -> int:
    """How many sizes differ by more than rounding, which resizing brings."""
    return len(np.unique(np.log(sizes).round(6), axis=0))


def _run(rng, sizes, number):
    """One start, moved until nothing changes."""
    clusters = sizes[rng.integers(len(sizes), size=1)]
    while len(clusters) < number:
        distance = 1 - shape_iou(sizes, clusters).max(1)
        distance[distance < 1e-9] = 0  # rounding
        share = distance**2 / (distance**2).sum()
        clusters = np.vstack(
            [clusters, sizes[rng.choice(len(sizes), p=share)]]
        )
    for _ in range(MAX_ROUNDS):
        iou = shape_iou(sizes, clusters)
        members = iou.argmax(1)
        # A cluster that lost all its boxes moves to one that fits badly.
        spare = iter(sizes[iou.max(1).argsort()])
        groups = [sizes[members == i] for i in range(number)]
        moved = np.stack(
            [group.mean(0) if len(group) else next(spare) for group in groups]
        )
        if (moved == clusters).all():
            break
        clusters = moved
    return clusters
