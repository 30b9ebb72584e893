"""The priors of a MetaAnchor head as a stock generator's."""

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
) -> tuple[dict, Tensor | None]:
    """Config of stock priors, and (A, 4) what their offsets need added."""
    strides = [tuple(stride) for stride in generator.strides]
    source = generator.source or generator
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
    sizes = list_shapes(generator)
    priors = dict(
        type='YOLOAnchorGenerator', strides=strides, base_sizes=sizes
    )
    stock = YOLOAnchorGenerator(strides, sizes)
    if _same(stock.base_anchors, generator.base_anchors):
        return priors, None
    return priors, _shift(generator, stock, coder)


def _shift(
    generator: MetaAnchorGenerator, stock: YOLOAnchorGenerator, coder
) -> Tensor:
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
    if not _same(shifts, [shifts[0]] * len(shifts), 1e-5):
        raise ValueError(
            'the centres of the anchors do not grow with the stride: '
            f'{[c[0].tolist() for c in generator.base_centers]} px'
        )
    return shifts[0]


def _numbers(values) -> list[float] | None:
    return values.tolist() if isinstance(values, Tensor) else None


def _same(some: list[Tensor], others: list[Tensor], atol: float = 0) -> bool:
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)
        for a, b in zip(some, others, strict=True)
    )
