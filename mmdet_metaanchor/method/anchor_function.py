"""AnchorFunctionGenerator: a convolution that the codes of priors decide."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..runtime.arguments import known_arguments
from .anchor_weights import AnchorWeights, without_autocast
from .memo import Memo

FORMS = ('cheaper', 'weights', 'mixture')


class Basis(NamedTuple):
    """What the outputs of any priors are mixed of, at one level.

    ``maps``, (N, (1 + r) * out_channels, H, W), are those of theta* and of
    the r columns of V; ``pooled``, (N, in_channels), is r(x), or ``None``
    where the weights do not depend on the image.
    """

    maps: Tensor
    pooled: Tensor | None


class Distinct(NamedTuple):
    """Codes of the levels without repeats.

    ``codes``, (n, 2), are those of every level that differs from the ones
    before it, ``numbers`` of each; ``index`` says which of these a level has.
    """

    codes: Tensor
    numbers: list[int]
    index: list[int]

    def parts(self, *wholes: Tensor) -> list[tuple[Tensor, ...]]:
        """Of tensors whose rows belong to the codes, those of every level.

        They are views: to gather the rows of every level would copy all
        weights, and their gradients once more.
        """
        if len(self.numbers) == 1:
            return [wholes] * len(self.index)
        parts = []
        for whole in wholes:
            rows = len(whole) // len(self.codes)
            parts.append(whole.split([rows * n for n in self.numbers]))
        parts = list(zip(*parts, strict=True))
        return [parts[i] for i in self.index]


@MODELS.register_module()
@known_arguments
class AnchorFunctionGenerator(AnchorWeights):
    r"""A convolution whose weights are generated from the codes of priors.

    With :math:`W_2` of rank r, see :class:`AnchorWeights`, the outputs of a
    prior are a mixture of r + 1 maps that are there once for all priors,

    .. math::
        y_b = \mathrm{conv}(x, \theta^*) +
        \sum_k h_k(b)\,\mathrm{conv}(x, V_k), \quad
        h(b) = U\,(\mathrm{relu}(W_{11} b + c + W_{12} r(x)) -
        \mathrm{relu}(c)),

    with the bends c of a stock checkpoint, 0 without one.

    The two forms, generated weights and the mixture, give the same outputs,
    and what takes fewer multiplications is computed. Per output channel, for
    A priors, P places of the features and kernels of K numbers, these are
    :math:`A K P`, and :math:`A K r` to generate the weights, for each image
    if they depend on it; against :math:`(1 + r)(K + A) P`. So it is the
    mixture, roughly, where A > r + 1.

    Where no gradients are needed, what was generated is kept for the next
    call (:class:`.Memo`), so that inference costs no more than stock's. It is
    forgotten when parameters, buffers or codes change, as far as
    :func:`.summary` sees, at ``train()`` and ``eval()`` and when the module
    moves.

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
        # Few, for generated weights are large: those, or maps and shares.
        self._kept, self._levels = Memo(2), Memo()

    def train(self, mode: bool = True) -> 'AnchorFunctionGenerator':
        """As of any module; what was generated is forgotten."""
        self._kept.clear()
        return super().train(mode)

    def _apply(self, *args, **kwargs) -> 'AnchorFunctionGenerator':
        self._kept.clear()
        return super()._apply(*args, **kwargs)

    def _keep(self, compute: Callable, *codes: Tensor):
        """What a method gives for codes, or gave, if it needs no gradients."""
        if torch.is_grad_enabled():
            return compute(*codes)
        layers = [self.shared, self.code_layer, self.residual_layer]
        if self.rank is not None:
            layers.append(self.basis_layer)
        weights = [layer.weight for layer in layers]
        weights += [self.shared.bias, self.bends]
        inputs = []
        for code in codes:
            inputs.append(self._trained_codes(code))
            if self.output_map is not None:
                inputs += self._scale_and_shift(code, self.shared.bias)
        return self._kept(
            lambda: compute(*codes),
            compute.__name__,
            *inputs,
            watched=weights,
        )

    def forward(
        self,
        feats: Sequence[Tensor] | Sequence[Basis],
        codes: Sequence[Tensor],
    ) -> list[Tensor]:
        """Apply the anchor functions of every level to its feature.

        Args:
            feats (Sequence[Tensor]): (N, in_channels, H, W), one per level;
                or what :meth:`prepare` made of them.
            codes (Sequence[Tensor]): (A, 2) codes, one tensor per level;
                A may differ between levels.

        Returns:
            list[Tensor]: (N, A * out_channels, H, W), one per level: all
            outputs of the first prior, then all of the second, and so on.
        """
        if not isinstance(feats[0], Basis):
            feats = self.prepare(feats, [len(code) for code in codes])
        if isinstance(feats[0], Basis):
            return self._mix(feats, codes)
        if self.data_dependent:
            return [
                self._convolve_per_image(feat, code)
                for feat, code in zip(feats, codes, strict=True)
            ]
        distinct = self._distinct(codes)
        weights = distinct.parts(*self._keep(self._weights, distinct.codes))
        return [
            _convolve(feat, *weight)
            for feat, weight in zip(feats, weights, strict=True)
        ]

    def prepare(
        self, feats: Sequence[Tensor], numbers: Sequence[int] | None
    ) -> Sequence[Tensor] | list[Basis]:
        """Do once what is the same for all priors, if that is the cheaper way.

        Args:
            feats (Sequence[Tensor]): (N, in_channels, H, W), one per level.
            numbers (Sequence[int], optional): How many priors of each level
                :meth:`forward` is to be called with, all calls together.
                ``None`` where that is not known: maps are mixed then,
                whatever ``form`` says.

        Returns:
            list[Basis] | Sequence[Tensor]: What :meth:`forward` takes for
            features: the maps of the basis, or the features as they are.
        """
        mixture = self.form == 'mixture' or numbers is None
        if self.form == 'cheaper' and not mixture:
            mixture = self._mixture_is_cheaper(feats, numbers)
        if not mixture:
            return feats
        kernel, bias = self._keep(self._basis)
        return [
            Basis(
                _convolve(feat, kernel, bias),
                self._pool(feat) if self.data_dependent else None,
            )
            for feat in feats
        ]

    def _mixture_is_cheaper(
        self, feats: Sequence[Tensor], numbers: Sequence[int]
    ) -> bool:
        """Whether it takes fewer multiplications, see the class.

        Weights that are the same for all images are taken to be the same for
        all levels, too.
        """
        kernel = self.shared.weight[0].numel()
        rank = self.residual_layer.in_features
        places = [feat[:, 0].numel() for feat in feats]
        outputs = sum(
            number * place
            for number, place in zip(numbers, places, strict=True)
        )
        generated = max(numbers)
        if self.data_dependent:
            generated = sum(numbers) * len(feats[0])
        weights = kernel * (outputs + rank * generated)
        return (1 + rank) * (kernel * sum(places) + outputs) < weights

    def _basis(self) -> tuple[Tensor, Tensor]:
        """Kernels and biases of theta* and of V, (1 + r) * C of them."""
        kernels, biases = self.as_convolution(
            *self.kernel_and_bias(self.residual_layer.weight.t())
        )
        return (
            torch.cat([self.shared.weight, kernels]),
            torch.cat([self.shared.bias, biases]),
        )

    def _mix(
        self, bases: Sequence[Basis], codes: Sequence[Tensor]
    ) -> list[Tensor]:
        """Outputs of priors, as of :meth:`forward`, of the bases."""
        with without_autocast(bases[0].maps.device.type):
            if self.data_dependent:
                mixings = [
                    self._mixing(code, basis.pooled)
                    for basis, code in zip(bases, codes, strict=True)
                ]
            else:
                distinct = self._distinct(codes)
                mixings = distinct.parts(
                    *self._keep(self._mixing, distinct.codes)
                )
            return [
                self._mix_level(basis.maps, *mixing)
                for basis, mixing in zip(bases, mixings, strict=True)
            ]

    def _mixing(
        self, codes: Tensor, pooled: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Shares of the maps in a prior, (A, 1 + r), or (N, A, 1 + r).

        With them, if there is an ``output_map``, scale and shift, (A, C, 1).
        """
        shares = F.pad(self._hidden(codes, pooled), (1, 0), value=1.0)
        if self.output_map is None:
            return (shares,)
        return shares, *self._scale_and_shift(codes, shares)

    def _mix_level(self, maps: Tensor, shares: Tensor, *box: Tensor) -> Tensor:
        """Outputs of priors, (N, A * C, H, W)."""
        num_imgs, _, height, width = maps.shape
        channels = self.shared.out_channels
        shares = shares.to(maps.dtype).expand(num_imgs, -1, -1)
        out = shares @ maps.unflatten(1, (-1, channels)).flatten(2)
        if box:
            scale, shift = (part.to(maps.dtype) for part in box)
            out = torch.addcmul(
                shift, out.unflatten(-1, (channels, height * width)), scale
            )
        return out.reshape(num_imgs, shares.shape[1] * channels, height, width)

    @staticmethod
    def _pool(feat: Tensor) -> Tensor:
        """r(x), (N, in_channels), in single precision or better."""
        single = torch.promote_types(feat.dtype, torch.float32)
        return feat.to(single).mean(dim=(2, 3))

    def _convolve_per_image(self, feat: Tensor, codes: Tensor) -> Tensor:
        """One grouped convolution, a group per image; shapes as in forward."""
        num_imgs, _, height, width = feat.shape
        weight, bias = self.as_convolution(
            *self.kernels_and_biases(codes, self._pool(feat))
        )
        out = _convolve(
            feat.reshape(1, -1, height, width), weight, bias, groups=num_imgs
        )
        return out.reshape(num_imgs, -1, height, width)

    def _weights(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Kernel and bias of all of these priors."""
        return self.as_convolution(*self.kernels_and_biases(codes))

    def _distinct(self, codes: Sequence[Tensor]) -> Distinct:
        """Codes of the levels, without those that are there already."""

        def compute() -> Distinct:
            levels = {str(code.tolist()): code for code in codes}
            names = list(levels)
            return Distinct(
                torch.cat(list(levels.values())),
                [len(code) for code in levels.values()],
                [names.index(str(code.tolist())) for code in codes],
            )

        return self._levels(compute, *codes)


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
