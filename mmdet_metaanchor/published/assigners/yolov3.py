"""The matching rule of YOLOv3."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...runtime.arguments import known_arguments
from .prior_index import PriorIndex, blocks, parts, priors_of
from .sparse import SparseAssigner, best_pairs, negatives

# Squared distances to cells on both sides of a border differ by rounding.
TIE = 1e-4


@TASK_UTILS.register_module()
@known_arguments
class YOLOv3Assigner(SparseAssigner):
    r"""One prior for every ground truth, at the cell of its centre.

    The rule of `YOLOv3 <https://arxiv.org/abs/1804.02767>`_, section 2.1.

    1. A ground truth takes the prior whose shape has the highest IoU with
       its own (both boxes centred) over all levels, and of that shape the
       one at the cell that holds its centre: of all cells of a grid that is
       the one whose centre is nearest, so no stride is needed. A centre on
       the border of cells belongs to the right and lower one, as rounding
       down has it. Of shapes that tie, on one level or on several, the one
       with the nearest centre is taken, then the one listed last.
    2. Two ground truths that want the same prior: it goes to the one with
       the higher IoU of shapes, then to the one listed first. The other
       takes none, for its next best shape would be a wrong target.
    3. Every other prior whose IoU with a ground truth, where they are,
       :math:`>` ``ignore_iou_thr`` is ignored.
    4. The others are negative.

    Shapes are compared to within the rounding of the priors' coordinates.
    With priors of 16 bits, that may be more than their sides: shapes tell
    nothing then, and the nearest prior is taken. MMDetection's are of 32.

    A prior that a ground truth takes in an ignored region is ignored, too.

    :class:`YOLOV3Head` marks the cells of all ground truths together
    (``responsible_flags``), which loses whose cell is whose; they are not
    needed here.

    Args:
        ignore_iou_thr (float): See above. Defaults to 0.5.
        **kwargs: See :class:`SparseAssigner`.

    Raises:
        ValueError: ``ignore_iou_thr`` is not in (0, 1].
    """

    def __init__(self, ignore_iou_thr: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 < ignore_iou_thr <= 1:
            raise ValueError(
                f'ignore_iou_thr must be in (0, 1], got {ignore_iou_thr}'
            )
        self.ignore_iou_thr = ignore_iou_thr

    def _match(
        self, index: PriorIndex, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        floor = boxes.new_full((len(boxes),), self.ignore_iou_thr)
        _, prior, iou = index.overlapping(boxes, floor)
        gt_inds, max_overlaps = negatives(index, prior, iou)
        gt_inds[prior[iou > self.ignore_iou_thr]] = -1

        box, prior, iou = own_priors(index, boxes)
        pairs = best_pairs(prior, iou)
        gt_inds[prior[pairs]] = box[pairs] + 1
        return gt_inds, max_overlaps


def own_priors(
    index: PriorIndex, boxes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rule 1 of :class:`YOLOv3Assigner`.

    Args:
        index (PriorIndex): The priors.
        boxes (Tensor): (k, 4) ground truths ``(x1, y1, x2, y2)`` in px.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Index of the ground truth, of its
        prior, and their IoU of shapes, each (m,). Ground truths without
        area are not among them, and none is where no prior has an area.
    """
    with_area = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1).nonzero()[:, 0]
    boxes = boxes[with_area]
    sizes = (boxes[:, 2:] - boxes[:, :2]).t()
    best, least = _best_shape_iou(index, sizes)
    fits = best > 0
    prior = _nearest(index, boxes, sizes, least)
    return with_area[fits], prior[fits], best[fits]


def _area(sizes: Tensor) -> Tensor:
    """Area of (2, ...) sizes (w, h)."""
    return sizes[0] * sizes[1]


def _shape_iou(sizes: Tensor, others: Tensor) -> Tensor:
    """IoU of centred boxes; (2, ...) sizes (w, h) that broadcast."""
    overlap = _area(torch.minimum(sizes, others))
    return overlap / (_area(sizes) + _area(others) - overlap)


def _best_shape_iou(index: PriorIndex, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Highest IoU of shapes with any prior, and what rounding leaves of it.

    A grid repeats few shapes many times, so each is compared once.
    """
    shapes = _different_shapes(index.sizes.flatten(1))
    # A side is the difference of two coordinates, each rounded.
    error = 4 * index.eps * index.boxes.abs().amax()
    found = []
    for rows in blocks(sizes.shape[1], shapes.shape[1], sizes.device):
        iou = _shape_iou(sizes[:, rows, None], shapes[:, None])
        best, winner = iou.max(1)
        kept = (1 - error / shapes[:, winner].amin(0)).clamp(min=0)
        found.append((best, best * kept))
    best, least = (torch.cat(part) for part in zip(*found, strict=True))
    return best, least


def _different_shapes(sizes: Tensor) -> Tensor:
    """Each of (2, n) sizes once, (2, m).

    One of every slot of a hash table goes ahead, with those that it does not
    stand for: sorting them takes a fraction of the time of sorting all.
    """
    # Two numbers of 32 bits as one of 64.
    keys = sizes.t().contiguous().view(torch.long)[:, 0]
    bits = max(1, len(keys).bit_length() - 5)
    slots = (keys * 0x9E3779B97F4A7C1) >> (63 - bits) & (2**bits - 1)
    table = keys[:1].repeat(2**bits).scatter_(0, slots, keys)
    rest = keys[table[slots] != keys]
    keys = torch.cat([table, rest]).unique()
    return keys[:, None].view(torch.float).t()


def _squared(vectors: Tensor) -> Tensor:
    """Squared length of (2, ...) vectors."""
    return vectors[0].square().addcmul_(vectors[1], vectors[1])


def _nearest(
    index: PriorIndex, boxes: Tensor, sizes: Tensor, least: Tensor
) -> Tensor:
    """Nearest prior whose IoU of shapes reaches ``least``, for every box.

    As in :class:`PriorIndex`, bounds say which chunks to look into.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]).t() / 2
    prior_centers = (index.boxes[:2] + index.boxes[2:]) / 2
    low, high = prior_centers.aminmax(dim=-1)

    def distances(rows: Tensor, chunk: Tensor) -> Tensor:
        """Squared, infinite where the shape is another; (k, size)."""
        away = prior_centers.index_select(1, chunk) - centers[:, rows, None]
        others = index.sizes.index_select(1, chunk)
        similar = _shape_iou(sizes[:, rows, None], others)
        # Points that fill the last chunk are similar to nothing, where the
        # rounding of 16 bits leaves nothing of ``least``, either.
        other = (similar < least[rows, None]) | (similar <= 0)
        return _squared(away).masked_fill(other, torch.inf)

    last = index.num_chunks - 1
    found = []
    for rows in blocks(len(boxes), index.num_chunks, boxes.device):
        here, size = centers[:, rows, None], sizes[:, rows, None]
        before, behind = low[:, None] - here, here - high[:, None]
        bound = _squared(torch.maximum(before, behind).clamp_(min=0))
        # The bound of PriorIndex, for boxes at the same centre.
        least_area, most_area = index.area_range
        most = _area(torch.minimum(size, index.side_range[1][:, None]))
        most = torch.minimum(most, most_area)
        union = _area(size) + (least_area - most).clamp_(min=0)
        similar = most * (1 + TIE) >= least[rows, None] * union
        bound.masked_fill_(~similar, torch.inf)
        # A first look at a chunk that is near as a whole, and at the two
        # beside it, where a cell is longer than a chunk, spares others.
        far = _squared(torch.minimum(before, behind))
        far.masked_fill_(~similar, torch.inf)
        likely = far.argmin(1)
        enough = torch.stack(
            [
                distances(rows, (likely + near).clamp(0, last)).amin(1)
                for near in (-1, 0, 1)
            ]
        ).amin(0)
        enough = (enough * (1 + TIE)).clamp(max=torch.finfo(far.dtype).max)
        for row, chunk in parts(bound <= enough[:, None]):
            away = distances(rows[row], chunk)
            keep = away <= enough[row, None]
            pair, prior = priors_of(keep, chunk)
            found.append((rows[row[pair]], prior, away[keep]))
    box, prior, away = (torch.cat(part) for part in zip(*found, strict=True))
    shortest = away.new_full((len(boxes),), torch.inf)
    shortest.scatter_reduce_(0, box, away, 'amin')
    tied = away <= shortest[box] * (1 + TIE)
    # The last that tie: right and below, in the order of a grid.
    nearest = prior.new_zeros(len(boxes))
    return nearest.scatter_reduce(0, box[tied], prior[tied], 'amax')
