"""Dimension clusters: anchors from the boxes of a data set."""

import numpy as np

# With this distance, means need not settle; they do within some tens.
MAX_ROUNDS = 300


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
    sizes = np.asarray(sizes, dtype=float).reshape(-1, 2)
    bad = ~((sizes > 0) & np.isfinite(sizes)).all(1)
    if bad.any():
        raise ValueError(
            'sizes must be positive and finite (w, h) in px, got '
            f'{sizes[bad][0].tolist()}'
        )
    distinct = len(np.unique(sizes, axis=0))
    if not 1 <= number <= distinct:
        raise ValueError(
            f'number must be from 1 to the {distinct} distinct sizes, got '
            f'{number}'
        )
    rng = np.random.default_rng(seed)
    runs = [_run(rng, sizes, number) for _ in range(restarts)]
    best = max(runs, key=lambda run: mean_iou(sizes, run))
    return best[best.prod(1).argsort()]


def shape_iou(sizes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """IoU of boxes at the same centre.

    Args:
        sizes (ndarray): (n, 2) sizes (w, h).
        clusters (ndarray): (k, 2) sizes (w, h).

    Returns:
        ndarray: (n, k) IoU.
    """
    overlap = np.minimum(sizes[:, None], clusters).prod(-1)
    union = sizes.prod(1)[:, None] + clusters.prod(1) - overlap
    return overlap / union


def mean_iou(sizes: np.ndarray, clusters: np.ndarray) -> float:
    """Mean of the highest IoU of shapes that every box has with a cluster."""
    return float(shape_iou(sizes, clusters).max(1).mean())


def _run(rng, sizes, number):
    """One start, moved until nothing changes."""
    clusters = sizes[rng.integers(len(sizes), size=1)]
    while len(clusters) < number:
        distance = 1 - shape_iou(sizes, clusters).max(1)
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
