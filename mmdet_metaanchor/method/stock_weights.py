"""Weights of stock convolutions as anchor functions: the inverse of baking."""

import logging
import math

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .anchor_function import AnchorFunctionGenerator
from .anchor_weights import AnchorWeights
from .prior_generator import MetaAnchorGenerator


def shared_codes(generator: MetaAnchorGenerator) -> Tensor:
    """(A, 2) codes, which have to be the same at every level.

    Raises:
        ValueError: They are not.
    """
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


def levels_of_functions(head: nn.Module) -> dict[str, int | None]:
    """The level of each generator of a head, by its name.

    Args:
        head (MetaHeadMixin): The head.

    Returns:
        dict[str, int | None]: In the order of the branches; ``None`` for a
        generator that all levels share.
    """
    names = {part: name for name, part in head.anchor_functions().items()}
    levels = {}
    for functions in head.branches():
        if isinstance(functions, AnchorFunctionGenerator):
            levels[names[functions]] = None
            continue
        for level, part in enumerate(functions):
            levels[names[part]] = level
    return levels


def codes_of_functions(head: nn.Module) -> dict[str, Tensor]:
    """Codes of the priors that each generator of a head serves, by its name.

    Args:
        head (MetaHeadMixin): The head.

    Returns:
        dict[str, Tensor]: (A, 2) codes, in the order of the branches.

    Raises:
        ValueError: As of :func:`shared_codes`, where levels share a generator.
    """
    codes = head.prior_generator.codes()
    return {
        name: shared_codes(head.prior_generator)
        if level is None
        else codes[level]
        for name, level in levels_of_functions(head).items()
    }


def adopt_stock(head: nn.Module, state_dict: dict, prefix: str) -> None:
    """Make a stock head's weights those of a MetaAnchor head, in place.

    The priors of the head are taken for those that the stock head was
    trained with: their anchor functions become its filters, see
    :func:`interpolate`. A state that is not of a stock head is left as it is.

    Args:
        head (MetaHeadMixin): The head that is to load the state.
        state_dict (dict): State of a detector.
        prefix (str): What the names of the head's part of it begin with.

    Raises:
        ValueError: The shapes of the filters are not those that the priors
            need, or the codes of the priors differ between levels.
    """
    functions = head.anchor_functions()
    if any(f'{prefix}{name}.weight' not in state_dict for name in functions):
        return
    # At once: what the functions make of codes depends on it, see `box_map`.
    head.shape_range.copy_(head.range_of_priors(jitter=False))
    worst = 0.0
    for name, codes in codes_of_functions(head).items():
        part = functions[name]
        outputs, *kernel = part.shared.weight.shape
        filters = len(codes) * outputs
        stock = []
        for end, shape in (
            ('weight', (filters, *kernel)),
            ('bias', (filters,)),
        ):
            stock.append(state_dict.pop(f'{prefix}{name}.{end}'))
            if stock[-1].shape != shape:
                raise ValueError(
                    f'{prefix}{name}.{end} of the stock checkpoint has the '
                    f'shape {tuple(stock[-1].shape)}; {len(codes)} anchors of '
                    f'{outputs} outputs, as configured, need {shape}'
                )
        state, error = interpolate(part, codes, *stock)
        worst = max(worst, error)
        for key, value in state.items():
            state_dict[f'{prefix}{name}.{key}'] = value
    # As the head saves them: what it was built with may have changed.
    now = head.state_dict()
    for name in head.ADDED_BUFFERS:
        state_dict[f'{prefix}{name}'] = now[name].clone()
    sizes = ', '.join(
        f'({w:.1f}, {h:.1f})'
        for w, h in head.prior_generator.base_shapes[0].tolist()
    )
    print_log(
        'The checkpoint is of a stock head and does not hold its anchors: '
        'they are taken to be those of the config, (w, h) = '
        f'{sizes} px at stride {head.prior_generator.strides[0][0]} px. The '
        f'anchor functions agree with its filters within {worst:.1e} of the '
        'largest weight.',
        logger='current',
        level=logging.INFO if worst < 1e-5 else logging.WARNING,
    )


@torch.no_grad()
def interpolate(
    functions: AnchorWeights,
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[dict[str, Tensor], float]:
    r"""Parameters with which priors have the weights of a convolution.

    Of all :math:`\theta_b = \theta + W_2\,\mathrm{relu}(W_{11} b + c) /
    \sqrt m` that agree with the A given filters, and where none does with the
    least squares of the differences, it is the one of the smallest
    :math:`W_2`; :math:`\theta^*` is its value at b = 0. :math:`\theta` is the
    mean of the filters, and :math:`W_{11}` and c are those of
    :func:`spread_units`. With a rank r, :math:`V U` is the best approximation
    of that rank, nothing less where A <= r + 1. Data-dependent functions start
    with :math:`W_{12} = 0`.

    Args:
        functions (AnchorWeights): Whose parameters are sought. They
            are not changed.
        codes (Tensor): (A, 2) codes of the priors, log-space.
        weight (Tensor): Kernel (A * C, in_channels, k, k), on any device.
        bias (Tensor): (A * C,).

    Returns:
        tuple[dict[str, Tensor], float]: The parameters by name, on the CPU,
        and the largest difference of a weight of a prior's from that of the
        convolution, as a share of the largest weight.
    """
    kernels, biases = (
        part.double()
        .cpu()
        .reshape(len(codes), functions.shared.out_channels, -1)
        for part in (weight, bias)
    )
    if functions.output_map is not None:
        scale, shift = functions._scale_and_shift(codes, kernels)
        kernels, biases = kernels / scale, (biases - shift) / scale
    wanted = torch.cat([kernels.flatten(1), biases.flatten(1)], dim=1)

    state = {
        name: param.detach().to('cpu', copy=True)
        for name, param in functions.state_dict().items()
    }
    units = len(functions.bends)
    spread, bends = spread_units(units)
    state['code_layer.weight'].copy_(spread)
    state['bends'].copy_(bends)
    if functions.data_dependent:
        state['feature_layer.weight'].zero_()
    hidden = (codes.double() @ spread.T + bends).relu() / math.sqrt(units)

    # What is left of the filters lies in A - 1 dimensions.
    shared = wanted.mean(0)
    back = torch.linalg.pinv(hidden)
    residual = back @ (wanted - shared)  # W2, transposed
    if functions.rank is not None:
        residual = _low_rank(state, hidden, back, residual, functions.rank)
    else:
        state['residual_layer.weight'].copy_(residual.T)
        residual = hidden @ residual
    fitted = shared + residual
    shared = shared + bends.relu() / math.sqrt(units) @ back @ residual
    kernel, rest = functions.kernel_and_bias(shared)
    state['shared.weight'].copy_(kernel.view_as(state['shared.weight']))
    state['shared.bias'].copy_(rest)
    error = (fitted - wanted).abs().max() / wanted.abs().max()
    return state, float(error)


def _low_rank(
    state: dict[str, Tensor],
    hidden: Tensor,
    back: Tensor,
    residual: Tensor,
    rank: int,
) -> Tensor:
    """Write U and V to the parameters; (A, P) the residuals they make.

    U has rows as long as in the initialisation that the parameters hold, so
    that U and V learn at the pace that they would learn at from there.
    """
    left, values, right = torch.linalg.svd(
        hidden @ residual, full_matrices=False
    )
    kept = min(rank, int((values > 1e-9 * values[0]).sum()))
    rows = (back @ left[:, :kept] * values[:kept]).T
    # Without the factor that a full W2 is divided by: W2 = sqrt(m) V U.
    rows = rows / math.sqrt(len(back))
    mixing = state['basis_layer.weight']
    lengths = mixing[:kept].double().norm(dim=1) / rows.norm(dim=1)
    mixing[:kept] = (rows * lengths[:, None]).to(mixing)
    basis = state['residual_layer.weight'].zero_()
    basis[:, :kept] = (right[:kept].T / lengths).to(basis)
    return left[:, :kept] * values[:kept] @ right[:kept]


def spread_units(number: int) -> tuple[Tensor, Tensor]:
    """W11 and c of hidden units that are spread evenly.

    The gradient of unit i has the direction i times the golden angle, and it
    bends at a distance from the standard box that goes evenly from -log 2 to
    log 2: shapes differ from their mean by a factor of 2 at most, mostly.

    Args:
        number (int): How many units.

    Returns:
        tuple[Tensor, Tensor]: (number, 2), rows as long as those of PyTorch's
        initialisation are on average, and (number,); double precision.
    """
    unit = torch.arange(number, dtype=torch.float64)
    angle = unit * (math.pi * (3 - 5**0.5))
    weight = torch.stack([angle.cos(), angle.sin()], dim=1) / 3**0.5
    distance = ((2 * unit + 1) / number - 1) * math.log(2)
    return weight, distance / 3**0.5
