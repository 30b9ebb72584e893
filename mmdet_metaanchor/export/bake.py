"""Freezing chosen anchors: a stock detector out of a MetaAnchor one."""

from pathlib import Path

import torch
import torch.nn.functional as F
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor, nn

from ..anchors.customize import find_heads
from ..datasets.dataset_types import PACKAGE
from ..method.anchor_function import AnchorFunctionGenerator
from ..method.meta_head import MetaHeadMixin
from ..method.stock_weights import codes_of_functions, levels_of_functions
from ..published.coders import (
    DeltaXYWHVarianceBBoxCoder,
    DirectLocationBBoxCoder,
)
from ..runtime.files import replacing
from .stock_config import without_us
from .stock_priors import stock_priors


@torch.no_grad()
def bake_anchors(
    model: nn.Module, cfg: Config
) -> tuple[Config, dict[str, Tensor]]:
    r"""Make a stock detector that detects what a MetaAnchor model does.

    The anchor functions of the present anchors become the weights of stock
    convolutions; what generates them is left behind. The result needs
    MMDetection alone, costs what stock costs, and its anchors are fixed.

    Stock generators express grids of scales and ratios, and lists of sizes
    only around the middle of a cell, (s / 2, s / 2) px. A list of sizes
    around another centre c is moved there, and the bias of the offsets
    :math:`t_x = (x - x_a) / (w_a \sigma_x)` takes the way back,
    :math:`(c - s / 2) / (w_a \sigma_x)`, in y likewise. A kernel smaller
    than that of the stock convolution is surrounded by zeros.

    Args:
        model (nn.Module): A detector with a MetaAnchor head, and the anchors
            to freeze, which :func:`customize_anchors` may have chosen. Where
            levels share their convolutions, they share the codes of anchors.
        cfg (Config): Its config. It is not changed.

    Returns:
        tuple[Config, dict[str, Tensor]]: Config and state dict of the stock
        detector, which has loaded the one strictly.

    Raises:
        TypeError: The model has no MetaAnchor head.
        ValueError: Stock cannot express it: weights depend on the image, a
            kernel is larger than that of the stock convolution, the codes of
            the anchors differ between levels, the coder is one of ours or
            cannot move centres, or the config names something else of ours.
    """
    names = {module: name for name, module in model.named_modules()}
    heads = {names[head]: head for head in find_heads(model)}
    state = dict(model.state_dict())
    stock_cfg = Config(cfg.to_dict())
    frozen = {}
    for prefix, head in heads.items():
        frozen |= _freeze(prefix, head, stock_cfg)
        left_behind = tuple(
            f'{prefix}.{name}'
            for name in (
                *head.ADDED_BUFFERS,
                *(f'{name}.' for name in head.anchor_functions()),
            )
        )
        state = {
            name: value.clone()
            for name, value in state.items()
            if not name.startswith(left_behind)
        }
    modules = [type(head).__module__ for head in heads.values()]
    stock_cfg = without_us(stock_cfg, modules)
    stock = MODELS.build(stock_cfg.model)
    shapes = {name: value.shape for name, value in stock.state_dict().items()}
    for name, value in frozen.items():
        state[name] = _padded(name, value, shapes[name])
    stock.load_state_dict(state)  # strictly
    return stock_cfg, state


def write_stock(
    out: Path, cfg: Config, state: dict[str, Tensor], meta: dict
) -> list[Path]:
    """Write what :func:`bake_anchors` gives.

    Args:
        out (Path): The checkpoint, a .pth file; the config lies beside it.
        cfg (Config): Config of the stock detector.
        state (dict[str, Tensor]): Its state dict.
        meta (dict): What the checkpoint says of its data.

    Returns:
        list[Path]: The checkpoint and the config.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    # Where a checkpoint names no classes, MMDetection asks the config.
    meta = {key: value for key, value in meta.items() if value}
    state = {name: value.cpu() for name, value in state.items()}
    with replacing(out) as part:
        torch.save(dict(meta=meta, state_dict=state), part)
    config = out.with_suffix('.py')
    with replacing(config) as part:
        part.write_text(cfg.pretty_text, encoding='utf-8')
    return [out, config]


def _freeze(
    prefix: str, head: MetaHeadMixin, cfg: Config
) -> dict[str, Tensor]:
    """Weights of a head's stock convolutions; its config is made stock."""
    functions = head.anchor_functions()
    if any(part.data_dependent for part in functions.values()):
        raise ValueError(
            'the weights depend on the image (data_dependent=True), so no '
            'fixed convolution has them'
        )
    codes = codes_of_functions(head)
    priors, shifts = stock_priors(head.prior_generator, head.bbox_coder)
    part = cfg.model
    for name in prefix.split('.'):
        # MMDetection's RPN has the `rpn_head` of its config as `bbox_head`.
        part = part[name] if name in part else part['rpn_head']
    part.type = _stock_class(head)
    for argument in ('anchor_function', 'box_function'):
        part.pop(argument, None)
    part.anchor_generator = priors
    coder = _stock_coder(head.bbox_coder)
    if coder is not None:
        part.bbox_coder = coder
    frozen = {}
    levels = levels_of_functions(head)
    for name, code in codes.items():
        weight, bias = _weights(functions[name], code)
        if shifts is not None and functions[name].output_map is not None:
            shift = _shift_of(head, shifts, levels[name])
            bias = bias + shift.flatten().to(bias)
        frozen[f'{prefix}.{name}.weight'] = weight
        frozen[f'{prefix}.{name}.bias'] = bias
    return frozen


def _shift_of(
    head: MetaHeadMixin, shifts: list[Tensor], level: int | None
) -> Tensor:
    """What the boxes of a level are to be moved by, or those of all."""
    if level is not None:
        return shifts[level]
    if any(not torch.allclose(s, shifts[0], atol=1e-5) for s in shifts):
        raise ValueError(
            'the centres of the anchors do not grow with the stride: '
            f'{[c[0].tolist() for c in head.prior_generator.base_centers]} px'
        )
    return shifts[0]


def _weights(
    functions: AnchorFunctionGenerator, codes: Tensor
) -> tuple[Tensor, Tensor]:
    weight, bias = functions.as_convolution(
        *functions.kernels_and_biases(codes)
    )
    return weight.clone(), bias.clone()


def _padded(name: str, value: Tensor, shape: torch.Size) -> Tensor:
    """A kernel with zeros around it, up to the size of the stock one."""
    if value.ndim < 4:
        return value
    spare = shape[-1] - value.shape[-1]
    if spare < 0:
        raise ValueError(
            f'{name} is a kernel of {tuple(value.shape[-2:])}, larger than '
            f'that of stock, {tuple(shape[-2:])}'
        )
    return F.pad(value, [spare // 2] * 4)


def _stock_class(head: MetaHeadMixin) -> str:
    """The class of MMDetection that the mixin stands before."""
    return next(
        kind.__name__
        for kind in type(head).__mro__
        if not issubclass(kind, MetaHeadMixin)
        and not kind.__module__.startswith(PACKAGE)
    )


def _stock_coder(coder: BaseBBoxCoder) -> dict | None:
    """Config of a coder of MMDetection that decodes as one of ours does.

    Returns:
        dict | None: ``None`` where the coder is one of MMDetection's.

    Raises:
        ValueError: There is none.
    """
    if isinstance(coder, DeltaXYWHVarianceBBoxCoder):
        return dict(
            type='DeltaXYWHBBoxCoder',
            target_means=list(coder.means),
            target_stds=list(coder.stds),
            clip_border=coder.clip_border,
            add_ctr_clamp=coder.add_ctr_clamp,
            ctr_clamp=coder.ctr_clamp,
            use_box_type=coder.use_box_type,
        )
    if isinstance(coder, DirectLocationBBoxCoder):
        return dict(
            type='YOLOBBoxCoder',
            eps=coder.eps,
            use_box_type=coder.use_box_type,
        )
    if type(coder).__module__.startswith(PACKAGE):
        raise ValueError(f'stock has no {type(coder).__name__} to decode with')
    return None
