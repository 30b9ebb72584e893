"""The matching rule of SSD."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...runtime.arguments import known_arguments
from .prior_index import PriorIndex
from .sparse import SparseAssigner, best_pairs, negatives


@TASK_UTILS.register_module()
@known_arguments
class SSDAssigner(SparseAssigner):
    r"""A prior for every ground truth first, then a threshold.

    The rule of `SSD <https://arxiv.org/abs/1512.02325>`_, section 2.2.

    1. Bipartite, as in MultiBox: the pair of a ground truth and a prior with
       the highest IoU is matched, then the next highest among the ground
       truths and priors that are left, and so on while IoUs are above 0. So
       no prior serves two ground truths here, and no ground truth that
       overlaps a prior left over goes without. Equal IoUs: the ground truth
       listed first, then the prior listed first.
    2. Every other prior whose highest IoU :math:`>` ``iou_thr`` is positive
       for that ground truth (for the one listed first, where they tie).

    The others are negative; none is ignored, except in ignored regions.

    Args:
        iou_thr (float): See above. Defaults to 0.5.
        **kwargs: See :class:`SparseAssigner`.

    Raises:
        ValueError: ``iou_thr`` is not in (0, 1].
    """

    def __init__(self, iou_thr: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 < iou_thr <= 1:
            raise ValueError(f'iou_thr must be in (0, 1], got {iou_thr}')
        self.iou_thr = iou_thr

    def _match(
        self, index: PriorIndex, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        floor = boxes.new_full((len(boxes),), self.iou_thr)
        while True:
            box, prior, iou = index.overlapping(boxes, floor)
            matched = bipartite_match(box, prior, iou)
            # One that lost all its listed priors looks at its others. They
            # may be worth more to it than to those that have them now.
            loser = floor > 0
            loser[box[matched]] = False
            loser &= torch.zeros_like(loser).index_fill(0, box, True)
            if not loser.any():
                break
            floor[loser] = 0

        gt_inds, max_overlaps = negatives(index, prior, iou)
        sure = iou > self.iou_thr
        pairs = best_pairs(prior[sure], iou[sure])
        gt_inds[prior[sure][pairs]] = box[sure][pairs] + 1
        gt_inds[prior[matched]] = box[matched] + 1
        return gt_inds, max_overlaps


def bipartite_match(box: Tensor, prior: Tensor, iou: Tensor) -> Tensor:
    """Greedy one-to-one matching: the highest IoU left, again and again.

    Args:
        box (Tensor): (pairs,) index of the ground truth.
        prior (Tensor): (pairs,) index of the prior.
        iou (Tensor): (pairs,) IoU above 0. Equal ones count in the order
            given.

    Returns:
        Tensor: (matches,) indices of the matched pairs.
    """
    if not len(iou):
        return box
    order = iou.argsort(descending=True, stable=True)
    box = box[order]
    prior = prior[order].unique(return_inverse=True)[1]
    rank = torch.arange(len(order), device=iou.device)
    matched = []
    while len(rank):
        # A pair that comes first for both of its sides is matched whatever
        # happens to the others, so all of these are matched at once.
        first = (rank == _first(box, rank)) & (rank == _first(prior, rank))
        matched.append(rank[first])
        left = ~(_holds(box, first) | _holds(prior, first))
        box, prior, rank = box[left], prior[left], rank[left]
    return order[torch.cat(matched)]


def _first(side: Tensor, rank: Tensor) -> Tensor:
    """Lowest rank among the pairs that share a side, for every pair."""
    lowest = rank.new_full((int(side.max()) + 1,), torch.iinfo(rank.dtype).max)
    return lowest.scatter_reduce(0, side, rank, 'amin')[side]


def _holds(side: Tensor, chosen: Tensor) -> Tensor:
    """Whether a chosen pair shares the side, for every pair."""
    taken = chosen.new_zeros(int(side.max()) + 1)
    taken[side[chosen]] = True
    return taken[side]
