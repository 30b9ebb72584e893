"""Other choices that MetaAnchor leaves open, for the tables of ablations.

Not for use in a detector: docs/benchmark-digits.md and docs/benchmark.md say
what each of them brought.
"""

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.registry import MODELS, TASK_UTILS
from torch import Tensor

from mmdet_metaanchor.heads.retina import MetaRetinaHead
from mmdet_metaanchor.heads.ssd import MetaSSDHead
from mmdet_metaanchor.heads.yolov3 import MetaYOLOV3Head
from mmdet_metaanchor.method.anchor_function import AnchorFunctionGenerator
from mmdet_metaanchor.method.prior_generator import MetaAnchorGenerator
from mmdet_metaanchor.published.assigners import ScaleCompensationAssigner


@MODELS.register_module()
class RecodedAnchorFunctionGenerator(AnchorFunctionGenerator):
    r"""Anchor functions of other codes, :math:`b' = M b`.

    - ``matrix`` [[0.5, 0.5], [1, -1]] codes (scale, ratio) instead of (log
      h, log w);
    - a multiple of the identity scales the residual, because a generator
      without a bias is homogeneous: :math:`W_2 relu(W_1 fb) = f W_2
      relu(W_1 b)` for f > 0.

    Args:
        *args: As for :class:`AnchorFunctionGenerator`.
        matrix (Sequence): M, (2, 2). Defaults to the identity.
        **kwargs: As for :class:`AnchorFunctionGenerator`.
    """

    def __init__(
        self,
        *args,
        matrix: Sequence = ((1.0, 0.0), (0.0, 1.0)),
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer('matrix', torch.tensor(matrix).float())

    def _hidden(self, codes: Tensor, pooled: Tensor | None) -> Tensor:
        codes = codes.to(self.matrix) @ self.matrix.T
        return super()._hidden(codes, pooled)


@TASK_UTILS.register_module()
class NormalJitterAnchorGenerator(MetaAnchorGenerator):
    """Jitter from a normal distribution, with the variance of the uniform.

    That is the standard deviation :attr:`jitter` / sqrt(3).
    """

    def _draw(self, codes: Tensor) -> Tensor:
        return torch.randn_like(codes) * (self.jitter / 3**0.5)


@MODELS.register_module()
class EvenRetinaHead(MetaRetinaHead):
    r"""MetaRetinaHead whose training anchors can part as fast as stock's.

    A step along the gradient moves the outputs of the anchors by
    :math:`K = 1 + H H^T`, where a row of H is h(b) of an anchor. Stock has
    the identity. PyTorch's initialisation of U gives K eigenvalues of 9 for
    what all anchors have in common and of 0.2, 0.07, 0.02 and less for their
    differences. Here U makes the columns of H orthonormal, as far as no
    difference is enlarged more than ``MOST`` times as much as the largest,
    and multiplies them by a pace.

    Args:
        *args: As for :class:`MetaRetinaHead`.
        pace (float): Square root of the eigenvalues of the differences.
        only (str, optional): Name of the last layer whose U it is. Defaults
            to None, both.
        **kwargs: As for :class:`MetaRetinaHead`.
    """

    MOST = 30

    def __init__(
        self, *args, pace: float = 1.0, only: str | None = None, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pace = pace
        self.only = only

    def init_weights(self) -> None:
        """As of the head, and then U anew."""
        super().init_weights()
        codes = self.prior_generator.codes()[0]
        for name, functions in self.anchor_functions().items():
            if self.only not in (None, name):
                continue
            layer = functions.basis_layer.weight
            hidden = (codes @ functions.code_layer.weight.detach().T).relu()
            _, sizes, rows = torch.linalg.svd(hidden, full_matrices=False)
            sizes = sizes.clamp(min=float(sizes[0]) / self.MOST)
            units = self.pace * rows / sizes[:, None]
            layer.data = units[: len(layer)].contiguous()


@TASK_UTILS.register_module()
class EvenMaxIoUAssigner(ScaleCompensationAssigner):
    """ScaleCompensationAssigner with a bound from above, too.

    Args:
        *args: As for MaxIoUAssigner.
        at_least (int): ``min_positives`` of the base. Defaults to 1.
        at_most (int, optional): Of an object with more positive priors those
            that overlap it most are kept, and the others ignored. Defaults to
            None, any number.
        **kwargs: As for MaxIoUAssigner.
    """

    def __init__(
        self, *args, at_least: int = 1, at_most: int | None = None, **kwargs
    ) -> None:
        super().__init__(*args, min_positives=at_least, **kwargs)
        self.at_most = at_most

    def assign_wrt_overlaps(
        self, overlaps: Tensor, gt_labels: Tensor
    ) -> AssignResult:
        """As of the base; ``overlaps`` are (objects, priors)."""
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        inds, labels = result.gt_inds, result.labels
        for index, ious in enumerate(overlaps, start=1):
            own = inds == index
            if self.at_most is not None and own.sum() > self.at_most:
                best = ious.where(own, -1).topk(self.at_most).indices
                inds[own], labels[own] = -1, -1
                inds[best], labels[best] = index, gt_labels[index - 1]
        return result


class SharedHiddenMixin:
    r"""One hidden layer of all levels and branches.

    :math:`\theta_{l,b} = \theta^*_l + V_l U\,\mathrm{relu}(W_{11} b)`, with
    one :math:`W_{11}` and one U of the head.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        first, *others = self.anchor_functions().values()
        for other in others:
            other.code_layer = first.code_layer
            other.basis_layer = first.basis_layer


@MODELS.register_module()
class SharedHiddenSSDHead(SharedHiddenMixin, MetaSSDHead):
    """MetaSSDHead with one hidden layer."""


@MODELS.register_module()
class SharedHiddenYOLOV3Head(SharedHiddenMixin, MetaYOLOV3Head):
    """MetaYOLOV3Head with one hidden layer."""
