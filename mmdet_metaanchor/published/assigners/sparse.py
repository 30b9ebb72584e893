"""SparseAssigner: what the assigners of this package share."""

from abc import abstractmethod

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from .prior_index import PriorIndex, check_finite


class SparseAssigner(BaseAssigner):
    """Assigns through the pairs of boxes and priors that can match.

    A prior gets 0 where it is negative, -1 where it is ignored and i + 1
    where it is positive for ground truth i, which is MMDetection's
    convention. Time and memory follow the pairs that can match, not all
    pairs.

    ``max_overlaps`` of the result holds the best IoU of a prior where that
    IoU can decide (it reaches the lower threshold, or is the best one of a
    ground truth), -1 for the priors of ignored regions, and else 0 or an IoU
    that is too low to decide.

    Args:
        ignore_iof_thr (float): A prior of which ignored regions (crowds) cover
            more than this share is ignored, as in :class:`MaxIoUAssigner`;
            -1 ignores no region. Defaults to -1.
        ignore_wrt_candidates (bool): Whether that share is one of the prior
            (True) or of the region (False). Defaults to True.

    Raises:
        ValueError: ``ignore_iof_thr`` is neither a share nor -1.
    """

    def __init__(
        self,
        ignore_iof_thr: float = -1,
        ignore_wrt_candidates: bool = True,
    ) -> None:
        if not -1 <= ignore_iof_thr <= 1:
            raise ValueError(
                'ignore_iof_thr must be a share, or -1 to ignore no region, '
                f'got {ignore_iof_thr}'
            )
        self.ignore_iof_thr = ignore_iof_thr
        self.ignore_wrt_candidates = ignore_wrt_candidates

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Assign ground truths to priors.

        Args:
            pred_instances (:obj:`InstanceData`): ``priors``, (n, 4) boxes
                ``(x1, y1, x2, y2)`` in px, of any floating type.
            gt_instances (:obj:`InstanceData`): ``bboxes``, (k, 4) likewise,
                and ``labels``, (k,).
            gt_instances_ignore (:obj:`InstanceData`, optional): ``bboxes``
                of regions to ignore. Priors in them are ignored, whether
                or not there are ground truths.
            **kwargs: Ignored; heads pass what other assigners need.

        Returns:
            :obj:`AssignResult`: ``gt_inds``, ``max_overlaps`` and
            ``labels``, each (n,); a label is -1 where a prior is not
            positive.

        Raises:
            ValueError: A prior or ground truth is NaN or infinite.
        """
        priors = get_box_tensor(pred_instances.priors)
        boxes = get_box_tensor(gt_instances.bboxes).float()
        check_finite(boxes, 'ground truth')
        gt_inds = boxes.new_zeros(len(priors), dtype=torch.long)
        max_overlaps = boxes.new_zeros(len(priors))
        if len(priors):
            index = PriorIndex(priors)
            ignored = self._ignored(index, gt_instances_ignore)
            index.exclude(ignored)
            if len(boxes):
                gt_inds, max_overlaps = self._match(index, boxes)
            gt_inds[ignored] = -1
            max_overlaps[ignored] = -1
        labels = torch.full_like(gt_inds, -1)
        positive = (gt_inds > 0).nonzero()[:, 0]
        # The labels of an image without ground truths may be floats.
        classes = gt_instances.labels.to(labels.dtype)
        labels[positive] = classes[gt_inds[positive] - 1]
        return AssignResult(len(boxes), gt_inds, max_overlaps, labels)

    @abstractmethod
    def _match(
        self, index: PriorIndex, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The rule, for one ground truth or more.

        Args:
            index (PriorIndex): The n priors, without those in ignored regions.
            boxes (Tensor): (k, 4) ground truths ``(x1, y1, x2, y2)`` in px.

        Returns:
            tuple[Tensor, Tensor]: ``gt_inds`` and ``max_overlaps``, both (n,),
            see the class.
        """

    def _ignored(
        self, index: PriorIndex, regions: InstanceData | None
    ) -> Tensor:
        """Indices of the priors in ignored regions."""
        if self.ignore_iof_thr <= 0 or regions is None:
            return torch.empty(0, dtype=torch.long, device=index.areas.device)
        return index.covered(
            check_finite(get_box_tensor(regions.bboxes).float(), 'region'),
            self.ignore_iof_thr,
            of_prior=self.ignore_wrt_candidates,
        )


def negatives(
    index: PriorIndex, prior: Tensor, iou: Tensor
) -> tuple[Tensor, Tensor]:
    """What a rule begins with: all priors negative, and their best IoU.

    Args:
        index (PriorIndex): The n priors.
        prior (Tensor): (pairs,) index of the prior.
        iou (Tensor): (pairs,) IoU.

    Returns:
        tuple[Tensor, Tensor]: ``gt_inds``, zeros, and ``max_overlaps``, 0
        where a prior is in no pair, both (n,).
    """
    max_overlaps = iou.new_zeros(index.number)
    max_overlaps.scatter_reduce_(0, prior, iou, 'amax')
    return torch.zeros_like(max_overlaps, dtype=torch.long), max_overlaps


def best_pairs(prior: Tensor, iou: Tensor) -> Tensor:
    """For every prior its pair of highest IoU, the first where they tie.

    Args:
        prior (Tensor): (pairs,) index of the prior.
        iou (Tensor): (pairs,) IoU.

    Returns:
        Tensor: (m,) indices of pairs, no two with the same prior.
    """
    different, place = prior.unique(return_inverse=True)
    best = iou.new_zeros(len(different)).scatter_reduce(0, place, iou, 'amax')
    pair = torch.arange(len(prior), device=prior.device)
    tied = iou == best[place]
    first = prior.new_full((len(different),), len(prior))
    return first.scatter_reduce(0, place[tied], pair[tied], 'amin')
