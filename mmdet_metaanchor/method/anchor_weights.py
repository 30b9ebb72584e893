"""AnchorWeights: weights of a convolution from the codes of priors."""

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from .memo import Memo

# PyTorch's own initialisation, and zero for W2, or V.
INIT_CFG = dict(
    type='Kaiming',
    layer='Linear',
    a=5**0.5,
    distribution='uniform',
    mode='fan_in',
    nonlinearity='leaky_relu',
    override=dict(type='Constant', name='residual_layer', val=0),
)


class AnchorWeights(BaseModule):
    r"""Weights of a convolution, generated from the codes of priors.

    Each prior ``b`` has an anchor function: a convolution with the weights
    (Eq. 4 to 6 of `MetaAnchor <https://arxiv.org/abs/1807.00980>`_)

    .. math::
        \theta_b = \theta^* +
        W_2\,(\mathrm{relu}(W_{11} b + W_{12} r(x) + c) - \mathrm{relu}(c))

    where :math:`\theta^*` is shared by all priors, the hidden layer has ``m``
    units and the term in ``r(x)``, the global average pooling of the feature,
    is there only if ``data_dependent``. The paper has no c; it is the buffer
    ``bends``, 0 unless a stock checkpoint was loaded, and not learnt.
    :math:`\theta` holds the kernel and the bias. The weights of the generator
    do not depend on the number or the shape of the priors.

    The paper leaves open how to start and to scale the generator, and that
    decides whether the method wins. Under Adam a step of size ``lr`` in
    :math:`W_2` moves :math:`\theta_b` by ``lr`` times the sum of the hidden
    units: about 10 at :math:`|b| = 0.5` for m = 128, so that the residual
    drowns what the priors have in common. Therefore

    - the residual is divided by :math:`\sqrt m`, about 11: what is a prior's
      own and what all share are learnt at the same pace, and :math:`W_2` can
      express the same functions as before;
    - :math:`W_2` starts at 0: all priors start from :math:`\theta^*`, which
      every positive sample trains, and part from it as the data ask;
    - the residual vanishes at :math:`b = 0`: with codes centred on the mean
      prior, it is a departure from it.

    The lines at which functions bend all cross at the standard box, where they
    turn into :math:`\theta^*`. The filters of a stock checkpoint need not: to
    pass through them, and through the standard box as through any other shape,
    W11 and c are spread evenly over the plane of codes when one is loaded, see
    :func:`.stock_weights.spread_units`. c shifts the bends, and not the value
    at b = 0.

    docs/training.md compares these settings with others.

    :math:`W_2` would be by far the largest layer: 23.6 million numbers for 80
    classes and 256 channels. With ``rank`` r it is the product of two,
    :math:`W_2 = \sqrt m\,V U`, U being (r, m) and V starting at 0: the
    anchor functions of all priors then lie in a space of r dimensions around
    :math:`\theta^*`.

    Args:
        in_channels (int): Channels of the feature.
        out_channels (int): Outputs of one prior, e.g. the number of classes.
        kernel_size (int): Size of the kernel, odd. Defaults to 3.
        hidden_channels (int): Hidden units ``m``. Defaults to 128.
        rank (int, optional): Rank of :math:`W_2`. None is a full matrix, as
            in the paper. Defaults to 8, with which no number of priors costs
            more than with stock.
        data_dependent (bool): Whether the weights depend on the feature too,
            so that every image has its own. The average is over the whole
            feature map, padding included: what is detected in an image
            depends on how far it is padded, and so on the other images of
            its batch. Defaults to False.
        output_map (Callable, optional): What is known of how the outputs
            depend on the prior: (A, 2) codes to scale and shift, each (A,
            out_channels). The outputs are ``scale * conv(x, theta_b) +
            shift``, which is folded into the generated weights. Defaults to
            None, the outputs as they are.
        code_map (Callable, optional): (A, 2) codes to those whose residual is
            generated for them, of the same shape. Defaults to None, the codes
            as they are.
        init_cfg (dict | list[dict], optional): Initialisation of the linear
            layers. Defaults to PyTorch's own, and zero for :math:`W_2`.

    Raises:
        ValueError: ``kernel_size`` is not odd and positive, or
            ``hidden_channels`` or ``rank`` not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        hidden_channels: int = 128,
        rank: int | None = 8,
        data_dependent: bool = False,
        output_map: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
        code_map: Callable[[Tensor], Tensor] | None = None,
        init_cfg: dict | list[dict] | None = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if kernel_size < 1 or kernel_size % 2 == 0:
            # An even one would give maps of another size.
            raise ValueError(
                f'kernel_size must be odd and positive, got {kernel_size}'
            )
        if hidden_channels < 1:
            raise ValueError(
                'hidden_channels must be a positive number, got '
                f'{hidden_channels}'
            )
        if rank is not None and rank < 1:
            raise ValueError(f'rank must be a positive number, got {rank}')
        self.rank = rank
        self.data_dependent = data_dependent
        self.output_map = output_map
        self.code_map = code_map
        self._codes, self._boxes = Memo(), Memo()
        # theta*. A convolution of its own, so that the initialisation that
        # a stock head's init_cfg asks for its last layer reaches it.
        self.shared = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2
        )
        num_weights = self.shared.weight.numel() + out_channels
        self.code_layer = nn.Linear(2, hidden_channels, bias=False)  # W11
        self.register_buffer('bends', torch.zeros(hidden_channels))  # c
        if data_dependent:
            self.feature_layer = nn.Linear(  # W12
                in_channels, hidden_channels, bias=False
            )
        if rank is not None:
            self.basis_layer = nn.Linear(hidden_channels, rank, bias=False)
        self.residual_layer = nn.Linear(  # W2, or V
            rank or hidden_channels, num_weights, bias=False
        )

    def kernels_and_biases(
        self, codes: Tensor, pooled: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Weights of the anchor functions, in single precision or better.

        Args:
            codes (Tensor): (A, 2) codes of the priors, log-space, on any
                device; the maps get them as they are.
            pooled (Tensor, optional): (N, in_channels) global average
                pooling of the features; only if ``data_dependent``.

        Returns:
            tuple[Tensor, Tensor]: Kernels (A, out_channels * in_channels * k
            * k) and biases (A, out_channels), each with an N before the A if
            ``data_dependent``.
        """
        # Codes are logarithms of ratios of a few percent: bfloat16 merges
        # neighbours, so the generator stays out of autocast.
        with without_autocast(self.shared.weight.device.type):
            hidden = self._hidden(codes, pooled)
            shared = self.shared.weight.flatten(), self.shared.bias
            residual = self.kernel_and_bias(self.residual_layer.weight.t())
            kernel, bias = (
                F.linear(hidden, part.t().to(hidden), start.to(hidden))
                for part, start in zip(residual, shared, strict=True)
            )
        if self.output_map is None:
            return kernel, bias
        scale, shift = self._scale_and_shift(codes, kernel)
        # (..., A, out_channels, n)
        kernel, bias = (
            part.unflatten(-1, (len(self.shared.bias), -1))
            for part in (kernel, bias)
        )
        return (kernel * scale).flatten(-2), (bias * scale + shift).flatten(-2)

    def _scale_and_shift(self, codes: Tensor, like: Tensor) -> list[Tensor]:
        """What ``output_map`` gives of the codes, each (A, C, 1)."""
        parts = self.output_map(codes)
        return self._boxes(
            lambda: [part.to(like)[..., None] for part in parts],
            *parts,
            like.dtype,
            like.device,
        )

    def _trained_codes(self, codes: Tensor) -> Tensor:
        """What ``code_map`` gives of the codes, where the weights are."""
        weight = self.code_layer.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        if self.code_map is not None:
            codes = self.code_map(codes)
        return self._codes(
            lambda: codes.to(weight.device, dtype), codes, weight.device, dtype
        )

    def _hidden(self, codes: Tensor, pooled: Tensor | None) -> Tensor:
        """What W2, or V, sees of the codes: (A, m or r), or (N, A, m or r)."""
        codes = self._trained_codes(codes)
        bends = self.bends.to(codes)
        hidden = F.linear(codes, self.code_layer.weight.to(codes), bends)
        if self.data_dependent:
            weight = self.feature_layer.weight.to(codes)
            hidden = hidden + F.linear(pooled.to(codes), weight)[:, None]
        hidden = hidden.relu() - bends.relu()
        if self.rank is None:
            return hidden / math.sqrt(self.code_layer.out_features)
        return F.linear(hidden, self.basis_layer.weight.to(codes))

    def as_convolution(
        self, kernels: Tensor, biases: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weights of priors as those of one convolution for all of them.

        Args:
            kernels (Tensor): As :meth:`kernels_and_biases` gives them.
            biases (Tensor): As :meth:`kernels_and_biases` gives them.

        Returns:
            tuple[Tensor, Tensor]: Kernel (A * out_channels, in_channels, k,
            k) and bias (A * out_channels,), or N times as many.
        """
        shape = self.shared.weight.shape[1:]
        return kernels.reshape(-1, *shape), biases.reshape(-1)

    def kernel_and_bias(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts of (..., P) weights, each flattened."""
        kernel = self.shared.weight
        return theta.split([kernel.numel(), len(kernel)], dim=-1)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        """Take a full W2 as the checkpoint has it, and 0 for a c it has not.

        Both are of checkpoints of before 0.2. A parameter goes then, so that
        an EMAHook that has listed them ends with a KeyError. To train on, or
        to test with several processes, the config has to say ``rank=None``.

        Raises:
            ValueError: W2 is of another rank, which MMEngine would only log;
                or a full one does not fit a config of another otherwise, or
                is loaded in training mode by one of several processes, as
                MMEngine does even for a test.
        """
        held = state_dict.get(f'{prefix}residual_layer.weight')
        if held is not None:
            full = f'{prefix}basis_layer.weight' not in state_dict
            rank = None if full else held.shape[1]
            # DDP has laid out the gradients by now, where it is to train. A
            # test of several processes, which MMEngine loads in training
            # mode, looks the same from here.
            fixed = self.training and is_distributed()
            fits = held.shape == (
                len(self.residual_layer.weight),
                self.code_layer.out_features,
            )
            if full and fits and self.rank is not None and not fixed:
                print_log(
                    f'The rank of the config, {self.rank}, gives way to the '
                    'full W2 of the checkpoint; to train on, set '
                    'anchor_function=dict(rank=None), as EMAHook and DDP '
                    'keep to the parameters that they have found',
                    logger='current',
                    level=logging.WARNING,
                )
                self.rank = None
                del self.basis_layer
                # The same parameter, which an optimizer may already know.
                weight = self.residual_layer.weight
                self.residual_layer.in_features = held.shape[1]
                weight.data = weight.new_empty(held.shape)
            elif rank != self.rank:
                raise ValueError(
                    f'W2 of the checkpoint is of rank {rank} ({prefix}'
                    f'residual_layer), and the config says {self.rank}: set '
                    f'anchor_function=dict(rank={rank})'
                )
            key = f'{prefix}bends'
            state_dict.setdefault(key, torch.zeros_like(self.bends))
        super()._load_from_state_dict(state_dict, prefix, *args)


def without_autocast(device: str) -> AbstractContextManager:
    """A block without autocast, on any kind of device."""
    try:
        return torch.autocast(device, enabled=False)
    except RuntimeError:
        # The device knows no autocast, as 'mps' before PyTorch 2.5.
        return nullcontext()
