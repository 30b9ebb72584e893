"""PriorIndex: the few priors that can match a box, without the others."""

from collections.abc import Iterator
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

# Priors in a chunk: large enough that bounds cost little beside the priors,
# small enough that a chunk of a grid covers few cells.
CHUNK_SIZE = 64
# Elements of the largest temporary tensor: 1 MB in single precision, which a
# processor's cache holds.
MAX_ELEMENTS = 2**18


class PriorIndex:
    r"""Priors in chunks of consecutive ones, each with bounds.

    Generators list priors cell by cell and row by row, so a chunk holds
    neighbours, and its bounds are tight. Let a box have area :math:`G`, and
    let no prior of a chunk overlap it by more than :math:`I` or have less
    area than :math:`P`. Then no IoU in the chunk exceeds

    .. math:: I / (G + \max(P, I) - I).

    Only chunks whose bound reaches what is asked for are looked into, prior
    by prior, with the plain formula. The bounds hold for any priors in any
    order, so results never depend on a grid; only speed does.

    Boxes are ``(x1, y1, x2, y2)`` in px, priors and ground truths alike. All
    is computed in single precision.

    Args:
        priors (Tensor): (n, 4) boxes.

    Raises:
        ValueError: A prior is NaN or infinite.
    """

    def __init__(self, priors: Tensor) -> None:
        self.number = len(priors)
        # Of sides that are differences of coordinates.
        self.eps = max(
            torch.finfo(dtype).eps for dtype in (priors.dtype, torch.float)
        )
        # (4, chunks, CHUNK_SIZE): all operations run along the last axis.
        # Points fill the last chunk: without area, they match nothing.
        spare = -len(priors) % CHUNK_SIZE
        self.boxes = F.pad(priors.float().t(), (0, spare)).view(
            4, -1, CHUNK_SIZE
        )
        self.boxes[:, -1, CHUNK_SIZE - spare :] = priors[-1, [[0], [1]] * 2]
        if not self.boxes.sum().isfinite():
            check_finite(priors, 'prior')
        self.sizes = (self.boxes[2:] - self.boxes[:2]).clamp_(min=0)
        self.areas = self.sizes[0] * self.sizes[1]

    @property
    def num_chunks(self) -> int:
        """int: number of chunks."""
        return self.areas.shape[0]

    @cached_property
    def low(self) -> Tensor:
        """Tensor: (2, chunks) least x1 and y1."""
        return self.boxes[:2].amin(-1)

    @cached_property
    def high(self) -> Tensor:
        """Tensor: (2, chunks) greatest x2 and y2."""
        return self.boxes[2:].amax(-1)

    @cached_property
    def side_range(self) -> tuple[Tensor, Tensor]:
        """tuple[Tensor, Tensor]: least and greatest sides, (2, chunks)."""
        return self.sizes.aminmax(dim=-1)

    @cached_property
    def area_range(self) -> tuple[Tensor, Tensor]:
        """tuple[Tensor, Tensor]: least and greatest area, (chunks,)."""
        return (self.sizes[0] * self.sizes[1]).aminmax(dim=-1)

    def exclude(self, prior_inds: Tensor) -> None:
        """Let these priors overlap nothing from now on.

        Args:
            prior_inds (Tensor): (m,) indices of priors.
        """
        self.areas.view(-1)[prior_inds] = torch.inf

    def overlapping(
        self, boxes: Tensor, floor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of a box and a prior with a high IoU.

        For every box these are the priors whose IoU with it is positive and
        at least ``floor``; where none is, those that tie for the highest, and
        maybe others below it.

        Args:
            boxes (Tensor): (k, 4) boxes.
            floor (Tensor): (k,) IoU.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Index of the box, index of the
            prior and IoU, each (pairs,), ordered by box, then prior.
        """
        if len(boxes) * self.areas.numel() <= MAX_ELEMENTS:
            # So few that bounds cost more than they spare.
            priors = self.boxes.flatten(1)[:, None]
            iou = _iou(boxes, priors, self.areas.flatten())
            least = torch.minimum(floor, iou.amax(1))
            keep = (iou > 0) & (iou >= least[:, None])
            return *keep.nonzero(as_tuple=True), iou[keep]
        found = [_no_pairs(boxes)]
        for rows in blocks(len(boxes), self.num_chunks, boxes.device):
            bound = self._bound(boxes[rows])
            likely = (bound * self._closeness(boxes[rows])).argmax(1)
            best = self._iou(boxes[rows], likely).amax(1)
            least = torch.minimum(floor[rows], best)
            hits = (bound > 0) & (bound >= least[:, None])
            for row, chunk in parts(hits):
                iou = self._iou(boxes[rows[row]], chunk)
                keep = (iou > 0) & (iou >= least[row, None])
                pair, prior = priors_of(keep, chunk)
                found.append((rows[row[pair]], prior, iou[keep]))
        return tuple(torch.cat(column) for column in zip(*found, strict=True))

    def covered(self, boxes: Tensor, share: float, of_prior: bool) -> Tensor:
        """Priors that one of some boxes covers.

        Args:
            boxes (Tensor): (k, 4) boxes.
            share (float): A prior counts where the intersection exceeds this
                share of the prior, or of the box.
            of_prior (bool): Share of the prior or of the box.

        Returns:
            Tensor: (m,) indices of priors, in no order, maybe repeated.
        """
        found = [torch.empty(0, dtype=torch.long, device=boxes.device)]
        box_area = area(boxes)
        for rows in blocks(len(boxes), self.num_chunks, boxes.device):
            hits = self._most_overlap(boxes[rows]) > 0
            for row, chunk in parts(hits):
                priors = self.boxes.index_select(1, chunk)
                overlap = _overlap(boxes[rows[row]], priors)
                whole = (
                    self.areas[chunk]
                    if of_prior
                    else box_area[rows[row], None]
                )
                keep = (overlap > 0) & (overlap / whole > share)
                found.append(priors_of(keep, chunk)[1])
        return torch.cat(found)

    def _most_overlap(self, boxes: Tensor) -> Tensor:
        """Bound I on the intersection with a prior of a chunk, (k, C)."""
        low, high = boxes.t()[:2, :, None], boxes.t()[2:, :, None]
        side = torch.minimum(high, self.high[:, None])
        side -= torch.maximum(low, self.low[:, None])
        side = torch.minimum(side, self.side_range[1][:, None])
        side = torch.minimum(side, high - low).clamp_(min=0)
        return torch.minimum(side[0] * side[1], self.area_range[1])

    def _bound(self, boxes: Tensor) -> Tensor:
        """Bound on the IoU with a prior of a chunk, (k, C)."""
        most = self._most_overlap(boxes)
        union = area(boxes)[:, None] + (self.area_range[0] - most).clamp_(
            min=0
        )
        # A margin over rounding, and nothing divided by an area of 0.
        bound = most * (1 + 32 * torch.finfo(most.dtype).eps) / union
        return bound.masked_fill_(most == 0, 0)

    def _closeness(self, boxes: Tensor) -> Tensor:
        """1 for a chunk around the middle of a box, towards 0 away, (k, C).

        It breaks the many ties of the bounds: a first look at a good chunk
        spares looks at others.
        """
        middle = (boxes[:, :2] + boxes[:, 2:]).t()[:, :, None]
        away = middle - (self.low + self.high)[:, None]  # twice the distance
        away = away.square_().sum(0)
        scale = 4 * area(boxes)[:, None] + 1
        return scale / (away + scale)

    def _iou(self, boxes: Tensor, chunk: Tensor) -> Tensor:
        """IoU of box i with the priors of chunk i, (k, size)."""
        priors = self.boxes.index_select(1, chunk)
        return _iou(boxes, priors, self.areas[chunk])


def _iou(boxes: Tensor, priors: Tensor, areas: Tensor) -> Tensor:
    """IoU of (k, 4) boxes with (4, k, size) priors, (k, size)."""
    overlap = _overlap(boxes, priors)
    union = area(boxes)[:, None] + areas - overlap
    return (overlap / union).masked_fill_(overlap == 0, 0)


def _overlap(boxes: Tensor, priors: Tensor) -> Tensor:
    """Intersection of (k, 4) boxes with (4, k, size) priors, (k, size)."""
    low, high = boxes.t()[:2, :, None], boxes.t()[2:, :, None]
    side = torch.minimum(high, priors[2:])
    side = side.sub_(torch.maximum(low, priors[:2])).clamp_(min=0)
    return side[0] * side[1]


def area(boxes: Tensor) -> Tensor:
    """Area of boxes, (k,); what a negative side makes is never used."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def priors_of(keep: Tensor, chunk: Tensor) -> tuple[Tensor, Tensor]:
    """Row of ``keep`` and index of the prior, for what is kept in it."""
    row, offset = keep.nonzero(as_tuple=True)
    return row, chunk[row] * CHUNK_SIZE + offset


def check_finite(boxes: Tensor, what: str) -> Tensor:
    """Return the boxes, unless one of them is NaN or infinite."""
    bad = ~boxes.isfinite().all(1)
    if bad.any():
        raise ValueError(
            f'every {what} must be a finite box (x1, y1, x2, y2), got '
            f'{boxes[bad][0].tolist()}'
        )
    return boxes


def _no_pairs(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    none = torch.empty(0, dtype=torch.long, device=boxes.device)
    return none, none, boxes.new_empty(0)


def blocks(rows: int, columns: int, device: torch.device) -> Iterator[Tensor]:
    """Rows of a matrix of that many columns, a block at a time."""
    yield from torch.arange(rows, device=device).split(
        max(1, MAX_ELEMENTS // columns)
    )


def parts(hits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of what is true, as many as fit in memory."""
    size = MAX_ELEMENTS // CHUNK_SIZE
    row, chunk = hits.nonzero(as_tuple=True)
    yield from zip(row.split(size), chunk.split(size), strict=True)
