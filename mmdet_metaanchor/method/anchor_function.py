"""AnchorFunctionGenerator: codes of priors to weights, and the convolution."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class AnchorFunctionGenerator(BaseModule):
    r"""A convolution whose weights are generated from the codes of priors.

    Each prior ``b`` has an anchor function: a convolution with the weights
    (Eq. 4 to 6 of `MetaAnchor <https://arxiv.org/abs/1807.00980>`_)

    .. math::
        \theta_b = \theta^* + W_2\,\mathrm{relu}(W_{11} b + W_{12} r(x))

    where :math:`\theta^*` is shared by all priors, the hidden layer has ``m``
    units and the term in ``r(x)``, the global average pooling of the feature,
    is there only if ``data_dependent``. :math:`\theta` holds the kernel and
    the bias. The weights of the generator do not depend on the number or the
    shape of the priors.

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
    - :math:`W_{11}` has no bias: with codes centred on the mean prior, the
      residual is a departure from it and vanishes at :math:`b = 0`.

    docs/training.md compares these settings with others.

    :math:`W_2` is by far the largest layer: 23.6 million numbers for 80
    classes and 256 channels. With ``rank`` r it is the product of two,
    :math:`W_2 = \sqrt m\,V U`, U being (r, m) and V starting at 0: the
    anchor functions of all priors then lie in a space of r dimensions around
    :math:`\theta^*`.

    Args:
        in_channels (int): Channels of the feature.
        out_channels (int): Outputs of one prior, e.g. the number of classes.
        kernel_size (int): Size of the kernel, odd. Defaults to 3.
        hidden_channels (int): Hidden units ``m``. Defaults to 128.
        rank (int, optional): Rank of :math:`W_2`. Defaults to None, a full
            matrix, as in the paper.
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
        init_cfg (dict | list[dict], optional): Initialisation of the hidden
            layer and of :math:`W_2`. Defaults to PyTorch's own for linear
            layers, and zero for :math:`W_2`.

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
        rank: int | None = None,
        data_dependent: bool = False,
        output_map: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
        code_map: Callable[[Tensor], Tensor] | None = None,
        init_cfg: dict | list[dict] | None = dict(  # noqa: B006
            type='Kaiming',
            layer='Linear',
            a=5**0.5,
            distribution='uniform',
            mode='fan_in',
            nonlinearity='leaky_relu',
            override=dict(type='Constant', name='residual_layer', val=0),
        ),
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
        # theta*. A convolution of its own, so that the initialisation that
        # a stock head's init_cfg asks for its last layer reaches it.
        self.shared = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2
        )
        num_weights = self.shared.weight.numel() + out_channels
        self.code_layer = nn.Linear(2, hidden_channels, bias=False)  # W11
        if data_dependent:
            self.feature_layer = nn.Linear(  # W12
                in_channels, hidden_channels, bias=False
            )
        if rank is not None:
            self.basis_layer = nn.Linear(hidden_channels, rank, bias=False)
        self.residual_layer = nn.Linear(  # W2, or V
            rank or hidden_channels, num_weights, bias=False
        )
        self._cache = None

    def generate(self, codes: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Weights of the anchor functions, in single precision or better.

        Args:
            codes (Tensor): (A, 2) codes of the priors, log-space, on any
                device; the maps get them as they are.
            pooled (Tensor, optional): (N, in_channels) global average
                pooling of the features; only if ``data_dependent``.

        Returns:
            Tensor: (A, P), or (N, A, P) if ``data_dependent``. The P numbers
            of a prior are its kernel (out_channels, in_channels, k, k),
            flattened, and then its bias (out_channels).
        """
        device = self.shared.weight.device
        dtype = torch.promote_types(self.shared.weight.dtype, torch.float32)
        # Codes are logarithms of ratios of a few percent: bfloat16 merges
        # neighbours, so the generator stays out of autocast.
        with _without_autocast(device.type):
            shared = torch.cat(
                [self.shared.weight.flatten(), self.shared.bias]
            )
            known = codes if self.code_map is None else self.code_map(codes)
            theta = F.linear(
                self._hidden(known.to(device, dtype), pooled),
                self.residual_layer.weight.to(dtype),
                shared.to(dtype),
            )
        if self.output_map is None:
            return theta
        scale, shift = (
            part.to(theta)[..., None] for part in self.output_map(codes)
        )
        # (..., A, out_channels, n): a kernel, flattened, or a bias
        kernel, bias = (
            part.unflatten(-1, (len(self.shared.bias), -1))
            for part in self._kernel_and_bias(theta)
        )
        parts = kernel * scale, bias * scale + shift
        return torch.cat([part.flatten(-2) for part in parts], dim=-1)

    def _hidden(self, codes: Tensor, pooled: Tensor | None) -> Tensor:
        """What W2 sees of the codes: (A, m or r), or (N, A, m or r)."""
        hidden = F.linear(codes, self.code_layer.weight.to(codes))
        if self.data_dependent:
            weight = self.feature_layer.weight.to(codes)
            hidden = hidden + F.linear(pooled.to(codes), weight)[:, None]
        hidden = hidden.relu()
        if self.rank is None:
            return hidden / math.sqrt(self.code_layer.out_features)
        return F.linear(hidden, self.basis_layer.weight.to(codes))

    def forward(
        self, feats: Sequence[Tensor], codes: Sequence[Tensor]
    ) -> list[Tensor]:
        """Apply the anchor functions of every level to its feature.

        Args:
            feats (Sequence[Tensor]): (N, in_channels, H, W), one per level.
            codes (Sequence[Tensor]): (A, 2) codes, one tensor per level;
                A may differ between levels.

        Returns:
            list[Tensor]: (N, A * out_channels, H, W), one per level: all
            outputs of the first prior, then all of the second, and so on.
        """
        if len(feats) != len(codes):
            raise ValueError(
                f'got features of {len(feats)} levels and priors of '
                f'{len(codes)}; the prior generator must have one stride for '
                'every level of the neck'
            )
        if self.data_dependent:
            return [
                self._convolve_per_image(feat, code)
                for feat, code in zip(feats, codes, strict=True)
            ]
        return [
            F.conv2d(
                feat,
                weight.to(feat.dtype),
                bias.to(feat.dtype),
                padding=self.shared.padding,
            )
            for feat, (weight, bias) in zip(
                feats, self._level_weights(codes), strict=True
            )
        ]

    def train(self, mode: bool = True) -> 'AnchorFunctionGenerator':
        """Also forgets the kept weights.

        An edit through ``Tensor.data``, as averaging hooks make one before
        an evaluation, is invisible to PyTorch's version counters; the change
        of mode that follows it is not.
        """
        self._cache = None
        return super().train(mode)

    def _convolve_per_image(self, feat: Tensor, codes: Tensor) -> Tensor:
        """One grouped convolution, a group per image; shapes as in forward."""
        num_imgs, _, height, width = feat.shape
        single = torch.promote_types(feat.dtype, torch.float32)
        pooled = feat.to(single).mean(dim=(2, 3))
        theta = self.generate(codes, pooled)
        weight, bias = self.split(theta.flatten(0, 1))
        out = F.conv2d(
            feat.reshape(1, -1, height, width),
            weight.to(feat.dtype),
            bias.to(feat.dtype),
            padding=self.shared.padding,
            groups=num_imgs,
        )
        return out.reshape(num_imgs, -1, height, width)

    def _level_weights(
        self, codes: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """Kernel and bias of every level, kept between evaluations."""
        # Inference tensors count no versions: an edit would go unseen.
        unseen = any(param.is_inference() for param in self.parameters())
        if self.training or torch.is_grad_enabled() or unseen:
            return self._generate_levels(codes)
        key = self._cache_key(codes)
        if self._cache is None or self._cache[0] != key:
            # The aliases keep the storage in use, so that no new parameter
            # can appear at an address that the key remembers.
            aliases = [param.detach() for param in self.parameters()]
            self._cache = key, self._generate_levels(codes), aliases
        return self._cache[1]

    def _cache_key(self, codes: Sequence[Tensor]) -> list:
        """What the generated weights depend on, in comparable form."""
        params = [
            (p.data_ptr(), p.dtype, p.device, p._version)
            for p in self.parameters()
        ]
        return [code.tolist() for code in codes] + params

    def _generate_levels(
        self, codes: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """Kernel and bias of every level; equal levels share one copy."""
        keys = [str(code.tolist()) for code in codes]
        distinct = dict(zip(keys, codes, strict=True))
        numbers = [len(code) for code in distinct.values()]
        theta = self.generate(torch.cat(list(distinct.values())))
        # Parts are views: to gather the rows of every level would copy all
        # weights, and their gradients once more.
        parts = theta.split(numbers) if len(numbers) > 1 else [theta]
        weights = {
            key: self.split(part)
            for key, part in zip(distinct, parts, strict=True)
        }
        return [weights[key] for key in keys]

    def split(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of priors as those of one convolution for all of them.

        Args:
            theta (Tensor): (A, P), as :meth:`generate` gives them.

        Returns:
            tuple[Tensor, Tensor]: Kernel (A * out_channels, in_channels, k,
            k) and bias (A * out_channels,).
        """
        weight, bias = self._kernel_and_bias(theta)
        shape = self.shared.weight.shape[1:]
        return weight.reshape(-1, *shape), bias.reshape(-1)

    def _kernel_and_bias(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts of (..., P) weights, each flattened."""
        kernel = self.shared.weight
        return theta.split([kernel.numel(), len(kernel)], dim=-1)


def _without_autocast(device: str) -> AbstractContextManager:
    """A block without autocast, on any kind of device."""
    try:
        return torch.autocast(device, enabled=False)
    except RuntimeError:
        # The device knows no autocast, as 'mps' before PyTorch 2.5.
        return nullcontext()
