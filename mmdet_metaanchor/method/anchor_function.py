"""AnchorFunctionGenerator: a convolution that the codes of priors decide."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .anchor_weights import AnchorWeights, without_autocast

FORMS = ('cheaper', 'weights', 'mixture')


@MODELS.register_module()
class AnchorFunctionGenerator(AnchorWeights):
    r"""A convolution whose weights are generated from the codes of priors.

    With :math:`W_2` of rank r, see :class:`AnchorWeights`, the outputs of a
    prior are a mixture of r + 1 maps that are there once for all priors,

    .. math::
        y_b = \mathrm{conv}(x, \theta^*) +
        \sum_k h_k(b)\,\mathrm{conv}(x, V_k), \quad
        h(b) = U\,\mathrm{relu}(W_{11} b + W_{12} r(x)).

    The two forms, generated weights and the mixture, give the same outputs,
    and what takes fewer multiplications is computed. Per output channel, for
    A priors, P places of the features and kernels of K numbers, these are
    :math:`A K P`, and :math:`A K r` to generate the weights, for each image
    if they depend on it; against :math:`(1 + r)(K + A) P`. So it is the
    mixture, roughly, where A > r + 1.

    Args:
        *args: Arguments of :class:`AnchorWeights`.
        form (str): 'weights', 'mixture', or 'cheaper', the one of the two
            that takes fewer multiplications. Defaults to 'cheaper'.
        **kwargs: Other arguments of :class:`AnchorWeights`.

    Raises:
        ValueError: ``form`` is another word.
    """

    def __init__(self, *args, form: str = 'cheaper', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if form not in FORMS:
            raise ValueError(f'form must be one of {FORMS}, got {form!r}')
        self.form = form

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
        mixture = self.form == 'mixture'
        if self.form == 'cheaper':
            mixture = self._mixture_is_cheaper(feats, codes)
        if mixture:
            kernel, bias = self._basis()
            return [
                self._mix(_convolve(feat, kernel, bias), feat, code)
                for feat, code in zip(feats, codes, strict=True)
            ]
        if self.data_dependent:
            return [
                self._convolve_per_image(feat, code)
                for feat, code in zip(feats, codes, strict=True)
            ]
        return [
            _convolve(feat, *weights)
            for feat, weights in zip(
                feats, self._generate_levels(codes), strict=True
            )
        ]

    def _mixture_is_cheaper(
        self, feats: Sequence[Tensor], codes: Sequence[Tensor]
    ) -> bool:
        """Whether it takes fewer multiplications, see the class."""
        kernel = self.shared.weight[0].numel()
        rank = self.residual_layer.in_features
        places = [feat[:, 0].numel() for feat in feats]
        outputs = sum(
            len(code) * number
            for code, number in zip(codes, places, strict=True)
        )
        generated = _distinct(codes).values()
        if self.data_dependent:
            generated = [*codes] * len(feats[0])
        weights = kernel * (outputs + rank * sum(map(len, generated)))
        return (1 + rank) * (kernel * sum(places) + outputs) < weights

    def _basis(self) -> tuple[Tensor, Tensor]:
        """Kernels and biases of theta* and of V, (1 + r) * C of them."""
        kernels, biases = self.split(self.residual_layer.weight.t())
        return (
            torch.cat([self.shared.weight, kernels]),
            torch.cat([self.shared.bias, biases]),
        )

    def _mix(self, maps: Tensor, feat: Tensor, codes: Tensor) -> Tensor:
        """Outputs of priors, (N, A * C, H, W), of the maps of the basis."""
        num_imgs, _, height, width = maps.shape
        channels, places = self.shared.out_channels, height * width
        pooled = self._pool(feat) if self.data_dependent else None
        with without_autocast(maps.device.type):
            mixing = F.pad(self._hidden(codes, pooled), (1, 0), value=1.0)
            mixing = mixing.to(maps.dtype).expand(num_imgs, -1, -1)
            terms = maps.unflatten(1, (-1, channels)).flatten(2)
            out = mixing @ terms
            if self.output_map is not None:
                scale, shift = self._scale_and_shift(codes, out)
                out = torch.addcmul(
                    shift, out.unflatten(-1, (channels, places)), scale
                )
        return out.reshape(num_imgs, len(codes) * channels, height, width)

    @staticmethod
    def _pool(feat: Tensor) -> Tensor:
        """r(x), (N, in_channels), in single precision or better."""
        single = torch.promote_types(feat.dtype, torch.float32)
        return feat.to(single).mean(dim=(2, 3))

    def _convolve_per_image(self, feat: Tensor, codes: Tensor) -> Tensor:
        """One grouped convolution, a group per image; shapes as in forward."""
        num_imgs, _, height, width = feat.shape
        theta = self.generate(codes, self._pool(feat))
        weight, bias = self.split(theta.flatten(0, 1))
        out = _convolve(
            feat.reshape(1, -1, height, width), weight, bias, groups=num_imgs
        )
        return out.reshape(num_imgs, -1, height, width)

    def _generate_levels(
        self, codes: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """Kernel and bias of every level; equal levels share one copy."""
        distinct = _distinct(codes)
        numbers = [len(code) for code in distinct.values()]
        theta = self.generate(torch.cat(list(distinct.values())))
        # Parts are views: to gather the rows of every level would copy all
        # weights, and their gradients once more.
        parts = theta.split(numbers) if len(numbers) > 1 else [theta]
        weights = {
            key: self.split(part)
            for key, part in zip(distinct, parts, strict=True)
        }
        return [weights[str(code.tolist())] for code in codes]


def _distinct(codes: Sequence[Tensor]) -> dict[str, Tensor]:
    """Codes of the levels that differ from each other, by their numbers."""
    return {str(code.tolist()): code for code in codes}


def _convolve(
    feat: Tensor, weight: Tensor, bias: Tensor, groups: int = 1
) -> Tensor:
    """A convolution that keeps the size of the map, in the map's precision."""
    return F.conv2d(
        feat,
        weight.to(feat.dtype),
        bias.to(feat.dtype),
        padding=weight.shape[-1] // 2,
        groups=groups,
    )
