"""The matching rule of Faster R-CNN's RPN, and of RetinaNet."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...runtime.arguments import known_arguments
from .prior_index import PriorIndex
from .sparse import SparseAssigner, best_pairs, negatives


@TASK_UTILS.register_module()
@known_arguments
class FasterRCNNAssigner(SparseAssigner):
    r"""Best priors and high IoU are positive, low IoU is negative.

    The rule of `Faster R-CNN <https://arxiv.org/abs/1506.01497>`_, section
    3.1.2. A prior is

    1. positive for a ground truth if no prior has a higher IoU with that
       ground truth, and theirs is above 0: all that tie are;
    2. else positive for the ground truth with which its IoU is highest, if
       that IoU :math:`>` ``pos_iou_thr``;
    3. else negative if its highest IoU :math:`<` ``neg_iou_thr``;
    4. else ignored.

    A prior that is best for several ground truths goes to the one with the
    higher IoU, and then to the one listed first. So does a prior of rule 2.
    With 0.5 and 0.4 this is the rule of RetinaNet.

    :class:`MaxIoUAssigner` with ``min_pos_iou=0`` differs in three cases. A
    ground truth that overlaps no prior makes all its priors without overlap
    positive, here it takes none. A prior that is best for several goes to
    the one listed last. An IoU of exactly ``pos_iou_thr`` is positive.

    Args:
        pos_iou_thr (float): See above. Defaults to 0.7.
        neg_iou_thr (float): See above. Defaults to 0.3.
        **kwargs: See :class:`SparseAssigner`.

    Raises:
        ValueError: Not 0 < ``neg_iou_thr`` <= ``pos_iou_thr`` <= 1.
    """

    def __init__(
        self, pos_iou_thr: float = 0.7, neg_iou_thr: float = 0.3, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < neg_iou_thr <= pos_iou_thr <= 1:
            raise ValueError(
                'thresholds must be 0 < neg_iou_thr <= pos_iou_thr <= 1, got '
                f'neg_iou_thr={neg_iou_thr} and pos_iou_thr={pos_iou_thr}'
            )
        self.pos_iou_thr = pos_iou_thr
        self.neg_iou_thr = neg_iou_thr

    def _match(
        self, index: PriorIndex, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        floor = boxes.new_full((len(boxes),), self.neg_iou_thr)
        box, prior, iou = index.overlapping(boxes, floor)
        gt_inds, max_overlaps = negatives(index, prior, iou)
        gt_inds[prior[max_overlaps[prior] >= self.neg_iou_thr]] = -1

        sure = iou > self.pos_iou_thr
        best_of_box = torch.zeros_like(floor).scatter_reduce(
            0, box, iou, 'amax'
        )
        # In this order: what is best for a ground truth has the last word.
        for rule in (sure, iou == best_of_box[box]):
            pairs = best_pairs(prior[rule], iou[rule])
            gt_inds[prior[rule][pairs]] = box[rule][pairs] + 1
        return gt_inds, max_overlaps
