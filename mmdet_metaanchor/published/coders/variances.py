"""What the codings with variances share."""

import math
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

# The largest ratio of the sides of a box and its prior, either way, that is
# kept apart from a larger one. Products with it stay finite in single
# precision for priors of up to 1e30 px.
MAX_RATIO = 1e8


def check_variances(variances: Sequence[float]) -> list[float]:
    """Refuse anything but four positive finite numbers."""
    values = [float(value) for value in variances]
    if len(values) != 4 or not all(
        math.isfinite(value) and value > 0 for value in values
    ):
        raise ValueError(
            'variances must be four positive finite numbers, got '
            f'{tuple(variances)}'
        )
    return values


def lift(values: Tensor) -> Tensor:
    """At least single precision: 16 bits overflow at 65 504 px."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def finite_without_area(
    offsets: Tensor,
    bboxes: Tensor | BaseBoxes,
    gt_bboxes: Tensor | BaseBoxes,
    limit: float,
) -> Tensor:
    """Replace what a division by, or a logarithm of, no side has made.

    Args:
        offsets (Tensor): (n, 4) offsets of boxes from their priors.
        bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) priors
            ``(x1, y1, x2, y2)`` in px.
        gt_bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) boxes likewise.
        limit (float): What stands for infinite; 0 stands for NaN.

    Returns:
        Tensor: (n, 4) offsets, other rows unchanged.
    """
    if offsets.sum().isfinite():
        return offsets  # as nearly always, and far cheaper to see
    boxes = torch.stack([get_box_tensor(bboxes), get_box_tensor(gt_bboxes)])
    without_area = (boxes[..., 2:] <= boxes[..., :2]).any(-1).any(0)
    return torch.where(
        without_area[..., None],
        offsets.nan_to_num(0, limit, -limit),
        offsets,
    )
