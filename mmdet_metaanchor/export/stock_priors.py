"""The priors of a MetaAnchor head as a stock generator's."""

import copy

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import (
    AnchorGenerator,
    YOLOAnchorGenerator,
)
from torch import Tensor

from ..anchors.customize import list_shapes
from ..method.prior_generator import MetaAnchorGenerator


def stock_priors(
    generator: MetaAnchorGenerator, coder
) -> tuple[dict, list[Tensor] | None]:
    """The same priors by a generator of MMDetection.

    Args:
        generator (MetaAnchorGenerator): The priors.
        coder (BaseBBoxCoder): Of their boxes.

    Returns:
        tuple[dict, list[Tensor] | None]: The config; and if its priors are
        around another place of a cell, what has to be added to the codes of
        boxes for that, (A, 4), one tensor per level.

    Raises:
        ValueError: MMDetection has none for these numbers of priors, or the
            coder cannot move their centres.
    """
    source = generator.source or generator
    if generator.source and type(source).__module__.startswith('mmdet.'):
        return copy.deepcopy(generator.source_cfg), None
    strides = [tuple(stride) for stride in generator.strides]
    grid = dict(
        type='AnchorGenerator',
        strides=strides,
        ratios=_numbers(getattr(source, 'ratios', None)),
        scales=_numbers(getattr(source, 'scales', None)),
        base_sizes=list(source.base_sizes),
        scale_major=getattr(source, 'scale_major', True),
        centers=source.centers,
        center_offset=getattr(source, 'center_offset', 0.0),
    )
    if None not in (grid['ratios'], grid['scales']):
        args = {k: v for k, v in grid.items() if k != 'type'}
        if _same(AnchorGenerator(**args).base_anchors, generator.base_anchors):
            return grid, None
    numbers = generator.num_base_priors
    if len(set(numbers)) > 1:
        raise ValueError(
            f'the levels have {numbers} anchors; MMDetection has no generator '
            'for lists of sizes of different lengths, so give every level '
            'as many'
        )
    sizes = list_shapes(generator)
    priors = dict(
        type='YOLOAnchorGenerator', strides=strides, base_sizes=sizes
    )
    stock = YOLOAnchorGenerator(strides, sizes)
    if _same(stock.base_anchors, generator.base_anchors):
        return priors, None
    return priors, _shifts(generator, stock, coder)


def _shifts(
    generator: MetaAnchorGenerator, stock: YOLOAnchorGenerator, coder
) -> list[Tensor]:
    if not isinstance(coder, DeltaXYWHBBoxCoder) or coder.add_ctr_clamp:
        raise ValueError(
            f'the centres of the anchors, {generator.base_centers[0][0]} px '
            'of a cell, cannot be moved to its middle with a '
            f'{type(coder).__name__}'
        )
    shifts = []
    for center, base, shape in zip(
        generator.base_centers,
        stock.base_anchors,
        generator.base_shapes,
        strict=True,
    ):
        away = (center - (base[:, :2] + base[:, 2:]) / 2) / shape
        away = away / away.new_tensor(coder.stds[:2])
        shifts.append(torch.cat([away, torch.zeros_like(away)], 1))
    return shifts


def _numbers(values) -> list[float] | None:
    return values.tolist() if isinstance(values, Tensor) else None


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))
