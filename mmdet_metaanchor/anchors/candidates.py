"""Sets of anchors to choose from: grids, and the search space of the paper."""

from collections.abc import Sequence

from ..method.prior_generator import MetaAnchorGenerator
from .detections import AnchorSet


def grid_of_smallest(
    generator: MetaAnchorGenerator,
    scales: Sequence[float],
    ratios: Sequence[float],
) -> AnchorSet:
    """All scales with all ratios of the smallest prior of every level.

    Args:
        generator (MetaAnchorGenerator): The priors.
        scales (Sequence[float]): Size over that of the smallest, the root of
            the area.
        ratios (Sequence[float]): Height over width.

    Returns:
        AnchorSet: Sizes (w, h) in px, one list per level.
    """
    smallest = [s.prod(1).min().sqrt().item() for s in generator.base_shapes]
    return [
        [
            (size * scale / ratio**0.5, size * scale * ratio**0.5)
            for scale in scales
            for ratio in ratios
        ]
        for size in smallest
    ]


def paper_candidates(generator: MetaAnchorGenerator) -> list[AnchorSet]:
    r"""The search space of the paper.

    Scales :math:`2^{k/5}, -2 < k < 6`, and ratios :math:`1/3, 1/t, 1, t, 3`
    with :math:`t = 1.1, 1.2, .., 2`, height over width (`MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_). They are relative to the smallest
    prior size of a level, as the paper's grids are.

    Args:
        generator (MetaAnchorGenerator): The training anchors.

    Returns:
        list[AnchorSet]: 7 x 23 sets of one anchor per level.
    """
    steps = [1 + i / 10 for i in range(1, 11)]
    ratios = sorted({1 / 3, 1.0, 3.0, *steps, *(1 / t for t in steps)})
    return [
        grid_of_smallest(generator, [scale], [ratio])
        for scale in (2 ** (k / 5) for k in range(-1, 6))
        for ratio in ratios
    ]
