"""Enough positive priors for objects that no anchor fits."""

from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...runtime.arguments import known_arguments


@TASK_UTILS.register_module()
@known_arguments
class ScaleCompensationAssigner(MaxIoUAssigner):
    r"""MaxIoUAssigner, with at least so many positive priors per object.

    An object that anchors fit has many positive priors, and one that none
    fits, being smaller or of another shape, has the best of them alone. As
    the losses are divided by the number of all positive priors, it then
    counts for little, and for less the more anchors there are.

    So an object with fewer than N positive priors receives, up to N, those of
    the highest IoU, even below the thresholds. Only priors that are positive
    for no object count, each for the object that it overlaps most, of equals
    for the one listed first; their IoU is above 0 and at least
    ``min_pos_iou``. So where objects crowd, one may have fewer. It is the
    second stage of the anchor matching of `S3FD
    <https://arxiv.org/abs/1708.05237>`_, section 3.2, which takes an IoU of
    0.1 for the least, for N the mean number of positive priors, and before it
    ``pos_iou_thr=0.35``.

    All else is MaxIoUAssigner's, with what :class:`FasterRCNNAssigner` says
    of ``min_pos_iou=0``: an object that overlaps no prior.

    Args:
        *args: As for MaxIoUAssigner.
        min_positives (int): N. Defaults to 3. With 1 only those objects
            receive a prior whose best one went to another object, or whose
            best one MaxIoUAssigner does not take (``match_low_quality``).
        **kwargs: As for MaxIoUAssigner.

    Raises:
        ValueError: ``min_positives`` is no whole number from 1 on.
    """

    def __init__(self, *args, min_positives: int = 3, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(min_positives, int) or min_positives < 1:
            raise ValueError(
                'min_positives must be a whole number of priors from 1 on, '
                f'got {min_positives!r}'
            )
        self.min_positives = min_positives

    def assign_wrt_overlaps(
        self, overlaps: Tensor, gt_labels: Tensor
    ) -> AssignResult:
        """Assign objects to priors by their IoUs.

        Args:
            overlaps (Tensor): (k, n) IoUs of k objects with n priors; below 0
                where a prior is to be ignored.
            gt_labels (Tensor): (k,) labels of the objects.

        Returns:
            :obj:`AssignResult`: That of MaxIoUAssigner, and more positives.
        """
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        inds, labels = result.gt_inds, result.labels
        if not overlaps.numel():
            return result
        numbers = inds.clamp(min=0).bincount(minlength=len(overlaps) + 1)[1:]
        short = (numbers < self.min_positives).nonzero().flatten()
        nearest = (inds - 1).where(inds > 0, overlaps.argmax(dim=0))
        ious, priors = (
            overlaps[short]
            .where(nearest == short[:, None], -1)
            .topk(min(self.min_positives, len(inds)), dim=1)
        )
        row, column = ((ious > 0) & (ious >= self.min_pos_iou)).nonzero().T
        added = priors[row, column]
        inds[added] = short[row] + 1
        labels[added] = gt_labels[short[row]]
        return result
