"""The priors of MultiBox as taught in Dive into Deep Learning."""

import math
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS
from torch.nn.modules.utils import _pair

from ..runtime.arguments import known_arguments


@TASK_UTILS.register_module()
@known_arguments
class MultiBoxAnchorGenerator(AnchorGenerator):
    r"""n + m - 1 priors per cell from n sizes and m ratios.

    Of the n m pairs of a size and a ratio only those count that hold the
    first size or the first ratio, in this order: all sizes with the first
    ratio, then the first size with the other ratios. Relative to the image
    (x over its width W, y over its height H) a pair :math:`(s, r)` gives the
    prior (`Dive into Deep Learning <https://d2l.ai>`_, section 14.4)

    .. math:: w = s \sqrt{r} \, H / W, \quad h = s / \sqrt{r},

    so in px :math:`w = s \sqrt{r} H` and :math:`h = s H / \sqrt{r}`. Centres
    lie in the middle of the cells.

    Args:
        strides (list[int] | list[tuple[int, int]]): Strides of the levels in
            px, ``(w, h)`` where they are pairs.
        sizes (list[list[float]]): Sizes in (0, 1] of every level, in the
            order of ``strides``.
        ratios (list[list[float]]): Ratios, width over height for a square
            image, likewise.
        image_height (float): H in px.
        **kwargs: ``use_box_type`` of :class:`AnchorGenerator`.

    Raises:
        ValueError: Sizes or ratios for another number of levels than
            ``strides``, a level without any, a size outside of (0, 1], a
            ratio or an ``image_height`` that is not positive and finite.
    """

    def __init__(
        self,
        strides: Sequence,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[Sequence[float]],
        image_height: float,
        **kwargs,
    ) -> None:
        if not len(strides) == len(sizes) == len(ratios):
            raise ValueError(
                'strides, sizes and ratios must be for the same levels, got '
                f'{len(strides)}, {len(sizes)} and {len(ratios)} of them'
            )
        for level in sizes:
            if not level or not all(0 < size <= 1 for size in level):
                raise ValueError(f'sizes must be in (0, 1], got {level}')
        for level in (*ratios, [image_height]):
            if not level or not all(0 < r < math.inf for r in level):
                raise ValueError(
                    'ratios and image_height must be positive and finite, '
                    f'got {level}'
                )
        # The stock generator sets the grid up. Its center_offset would take
        # the middle of the shorter side only.
        middles = [tuple(side / 2 for side in _pair(s)) for s in strides]
        super().__init__(
            strides, ratios=[1.0], scales=[1.0], centers=middles, **kwargs
        )
        self.base_anchors = [
            torch.tensor(middle).tile(2)
            + _around_zero(level_sizes, level_ratios) * image_height
            for middle, level_sizes, level_ratios in zip(
                middles, sizes, ratios, strict=True
            )
        ]


def _around_zero(sizes: Sequence[float], ratios: Sequence[float]):
    """(A, 4) priors relative to the image's height, centred at 0."""
    pairs = [(size, ratios[0]) for size in sizes]
    pairs += [(sizes[0], ratio) for ratio in ratios[1:]]
    shapes = torch.tensor([(s * r**0.5, s / r**0.5) for s, r in pairs])
    return torch.cat([-shapes, shapes], 1) / 2
