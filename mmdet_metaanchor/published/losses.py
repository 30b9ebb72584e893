"""The objectness loss of YOLO."""

import math

import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS
from torch import Tensor

from ..runtime.arguments import known_arguments


@MODELS.register_module()
@known_arguments
class ObjectnessLoss(CrossEntropyLoss):
    r"""Logistic loss in which the many empty priors weigh less.

    .. math::
        L = - \sum_{object} \log p
            - \lambda_{noobj} \sum_{no object} \log(1 - p)

    with :math:`\lambda_{noobj} = 0.5` (`YOLO
    <https://arxiv.org/abs/1506.02640>`_, Eq. 3). Made for ``loss_conf`` of
    :class:`YOLOV3Head`, whose ignored priors come with a weight of 0.

    Args:
        noobj_weight (float): :math:`\lambda_{noobj}`. Defaults to 0.5.
        **kwargs: See :class:`CrossEntropyLoss`.

    Raises:
        ValueError: ``noobj_weight`` is negative or not finite.
    """

    def __init__(self, noobj_weight: float = 0.5, **kwargs) -> None:
        super().__init__(**{'use_sigmoid': True, **kwargs})
        if not (math.isfinite(noobj_weight) and noobj_weight >= 0):
            raise ValueError(
                f'noobj_weight must be finite and >= 0, got {noobj_weight}'
            )
        self.noobj_weight = noobj_weight

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor, **kwargs
    ) -> Tensor:
        """Loss of objectness.

        Args:
            cls_score (Tensor): Logits, of any shape.
            label (Tensor): 1 with an object, 0 without, of the same shape.
            weight (Tensor): Weights, of the same shape.
            **kwargs: See :class:`CrossEntropyLoss`.

        Returns:
            Tensor: The loss, reduced as ``reduction`` says.
        """
        share = torch.where(label > 0, 1.0, self.noobj_weight)
        return super().forward(cls_score, label, weight * share, **kwargs)
