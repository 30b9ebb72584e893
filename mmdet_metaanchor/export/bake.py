"""Freezing chosen anchors: a stock detector out of a MetaAnchor one."""

import copy

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import (
    AnchorGenerator,
    YOLOAnchorGenerator,
)
from mmdet.registry import TASK_UTILS
from mmengine.config import Config
from torch import Tensor, nn

from ..anchors.customize import list_shapes
from ..heads.retina import MetaRetinaHead
from ..method.prior_generator import MetaAnchorGenerator
from ..published.coders import DeltaXYWHVarianceBBoxCoder

PACKAGE = 'mmdet_metaanchor'


@torch.no_grad()
def bake_anchors(
    model: nn.Module, cfg: Config
) -> tuple[Config, dict[str, Tensor]]:
    r"""Make a stock RetinaNet that detects what a MetaAnchor model does.

    The anchor functions of the present anchors become the weights of stock
    convolutions; what generates them is left behind. The result needs
    MMDetection alone, costs what stock costs, and its anchors are fixed.

    Stock generators express grids of scales and ratios, and lists of sizes
    only around the middle of a cell, (s / 2, s / 2) px. A list of sizes
    around another centre c is moved there, and the bias of the offsets
    :math:`t_x = (x - x_a) / (w_a \sigma_x)` takes the way back,
    :math:`(c - s / 2) / (w_a \sigma_x)`, in y likewise.

    Args:
        model (nn.Module): A single-stage detector with a
            :class:`MetaRetinaHead` and the anchors to freeze, which
            :func:`customize_anchors` may have chosen.
        cfg (Config): Its config. It is not changed.

    Returns:
        tuple[Config, dict[str, Tensor]]: Config and state dict of the stock
        detector.

    Raises:
        TypeError: The head is not a :class:`MetaRetinaHead`.
        ValueError: Stock cannot express it: weights depend on the image, the
            codes of the anchors differ between levels, or the coder is one
            of ours or cannot move centres.
    """
    head = getattr(model, 'bbox_head', None)
    if not isinstance(head, MetaRetinaHead):
        raise TypeError(
            'only a detector with a MetaRetinaHead can be baked, got '
            f'{type(model).__name__} with a {type(head).__name__}'
        )
    if head.retina_cls.data_dependent or head.retina_reg.data_dependent:
        raise ValueError(
            'the weights depend on the image (data_dependent=True), so no '
            'fixed convolution has them'
        )
    generator = head.prior_generator
    codes = _shared_codes(generator)
    state = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if not name.startswith(('bbox_head.retina_', 'bbox_head.standard_box'))
    }
    for name in ('retina_cls', 'retina_reg'):
        functions = getattr(head, name)
        theta = functions.generate(codes.to(functions.shared.weight.device))
        weight, bias = functions.split(theta)
        state[f'bbox_head.{name}.weight'] = weight.clone()
        state[f'bbox_head.{name}.bias'] = bias.clone()
    priors, shift = _stock_priors(generator, head.bbox_coder)
    if shift is not None:
        state['bbox_head.retina_reg.bias'] += shift.flatten().to(weight)
    return _stock_config(cfg, priors, head), state


def _shared_codes(generator: MetaAnchorGenerator) -> Tensor:
    """(A, 2) codes, which have to be the same at every level."""
    codes = generator.codes()
    for level, code in enumerate(codes):
        if code.shape != codes[0].shape or not torch.allclose(
            code, codes[0], rtol=0, atol=1e-5
        ):
            raise ValueError(
                'a stock head shares its convolutions between levels, so '
                'anchors must grow with the stride; the codes of level 0 are '
                f'{codes[0].tolist()} and those of level {level} '
                f'{code.tolist()}'
            )
    return codes[0]


def _stock_priors(
    generator: MetaAnchorGenerator, coder
) -> tuple[dict, Tensor | None]:
    """Config of stock priors, and (A, 4) what their offsets need added."""
    strides = [tuple(stride) for stride in generator.strides]
    grid = dict(
        type='AnchorGenerator',
        strides=strides,
        ratios=_numbers(getattr(generator, 'ratios', None)),
        scales=_numbers(getattr(generator, 'scales', None)),
        base_sizes=list(generator.base_sizes),
        scale_major=getattr(generator, 'scale_major', True),
        centers=generator.centers,
        center_offset=getattr(generator, 'center_offset', 0.0),
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


def _stock_config(cfg: Config, priors: dict, head: MetaRetinaHead) -> Config:
    cfg = copy.deepcopy(cfg)
    imports = cfg.get('custom_imports') or {}
    others = [
        name
        for name in imports.get('imports', [])
        if not name.startswith(PACKAGE)
    ]
    if others:
        cfg.custom_imports.imports = others
    else:
        cfg.pop('custom_imports', None)
    if _names_ours(cfg.model.get('train_cfg')):
        cfg.model.train_cfg = None  # stock can detect with it, not train
    part = cfg.model.bbox_head
    part.type = 'RetinaHead'
    part.pop('anchor_function', None)
    part.anchor_generator = priors
    if isinstance(head.bbox_coder, DeltaXYWHVarianceBBoxCoder):
        part.bbox_coder = dict(
            type='DeltaXYWHBBoxCoder', target_stds=list(head.bbox_coder.stds)
        )
    elif type(head.bbox_coder).__module__.startswith(PACKAGE):
        raise ValueError(
            f'stock has no {type(head.bbox_coder).__name__} to decode with'
        )
    return cfg


def _names_ours(cfg) -> bool:
    """Whether a part of this package is named anywhere in it."""
    if isinstance(cfg, dict):
        part = TASK_UTILS.get(cfg['type']) if 'type' in cfg else None
        return (
            part is not None and part.__module__.startswith(PACKAGE)
        ) or any(_names_ours(value) for value in cfg.values())
    return isinstance(cfg, list) and any(_names_ours(value) for value in cfg)


def _numbers(values) -> list[float] | None:
    return values.tolist() if isinstance(values, Tensor) else None


def _same(some: list[Tensor], others: list[Tensor], atol: float = 0) -> bool:
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)
        for a, b in zip(some, others, strict=True)
    )
