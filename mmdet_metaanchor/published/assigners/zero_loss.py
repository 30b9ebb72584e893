"""Ground truths that a training is not to learn from."""

import inspect
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor

from ...runtime.arguments import known_arguments


@TASK_UTILS.register_module()
@known_arguments
class ZeroLossAssigner(BaseAssigner):
    r"""Another assigner, without loss for some sizes of ground truths.

    With w and h the width and height of a ground truth, in px of the image
    that the detector sees, its positive priors are ignored if

    .. math::
        s_0 < \sqrt{wh} < s_1 \quad\text{and}\quad |\log(w / h)| < r,

    so that they take no part in any loss. It is how `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_ (Table 4) leaves sizes out of the
    training that the test keeps.

    A sampler that adds ground truths as proposals, as those of RoI heads do,
    would bring them back; RPN and dense heads have none. Heads that do not
    take the weights of priors from the result give a loss all the same: to
    DETR's and YOLOX's what is not positive is background, and YOLOF's boxes
    come from its assigner by another way.

    Args:
        assigner (dict): Config of the other assigner.
        size_range (Sequence[float]): :math:`(s_0, s_1)` in px. Defaults to
            (50, 100).
        max_log_ratio (float): r. Defaults to 1.

    Raises:
        ValueError: Not 0 <= :math:`s_0` < :math:`s_1`, or ``max_log_ratio``
            is not positive.
    """

    def __init__(
        self,
        assigner: dict,
        size_range: Sequence[float] = (50, 100),
        max_log_ratio: float = 1.0,
    ) -> None:
        low, high = size_range
        if not 0 <= low < high:
            raise ValueError(
                'size_range must be 0 <= low < high, in px, got '
                f'{tuple(size_range)}'
            )
        if not max_log_ratio > 0:
            raise ValueError(
                f'max_log_ratio must be positive, got {max_log_ratio}'
            )
        self.assigner = TASK_UTILS.build(assigner)
        self.size_range = low, high
        self.max_log_ratio = max_log_ratio

    def assign(self, *args, **kwargs) -> AssignResult:
        """Assign ground truths to priors.

        Args:
            *args: What the other assigner takes, in its own order, which is
                not the same for all; among it ``gt_instances``, with
                ``bboxes``, (k, 4) boxes ``(x1, y1, x2, y2)`` in px.
            **kwargs: Likewise, by name.

        Returns:
            :obj:`AssignResult`: That of the other assigner, with -1 for the
            priors, and their labels, that it gives to those ground truths.
        """
        inner = self.assigner
        while isinstance(inner, ZeroLossAssigner):  # of another range
            inner = inner.assigner
        taken = inspect.signature(inner.assign).bind(*args, **kwargs)
        gt_instances = taken.arguments['gt_instances']
        result = self.assigner.assign(*args, **kwargs)
        boxes = get_box_tensor(gt_instances.bboxes)
        width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
        size = (width * height).sqrt()
        low, high = self.size_range
        dropped = (low < size) & (size < high)
        dropped &= (width / height).log().abs() < self.max_log_ratio
        ignored = torch.isin(result.gt_inds, dropped.nonzero()[:, 0] + 1)
        result.gt_inds[ignored] = -1
        result.labels[ignored] = -1
        return result
