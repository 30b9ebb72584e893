"""Direct location: the coding of YOLO9000 and YOLOv3."""

import math

import torch
from mmdet.models.task_modules.coders import YOLOBBoxCoder
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from ...runtime.arguments import known_arguments
from .variances import MAX_RATIO, finite_without_area, lift

LIMIT = math.log(MAX_RATIO)


@TASK_UTILS.register_module()
@known_arguments
class DirectLocationBBoxCoder(YOLOBBoxCoder):
    r"""A centre within a cell, and a size relative to the prior.

    With the cell :math:`(c_x, c_y)` of a prior, in cells, its size
    :math:`(p_w, p_h)` and the raw prediction :math:`t` (`YOLO9000
    <https://arxiv.org/abs/1612.08242>`_, section 2):

    .. math::
        b_x = (\sigma(t_x) + c_x) \cdot stride, \quad
        b_y = (\sigma(t_y) + c_y) \cdot stride, \\
        b_w = p_w e^{t_w}, \quad b_h = p_h e^{t_h}.

    As in :class:`YOLOBBoxCoder`, the sigmoid is left to the head: codes are
    :math:`(\sigma(t_x), \sigma(t_y), t_w, t_h)`. That coder is exact within a
    cell; a centre on its border, or outside, is encoded ``eps`` cells within,
    because no finite :math:`t_x` reaches the border. It returns infinite
    boxes for :math:`t_w > 88` and NaN for priors without area; here sizes
    are clamped to 1e8 times the prior's, either way, and codes are finite.

    Of the shape of a prior the predictions :math:`t` depend as
    :func:`units_of_prior` says, with D = 1 and :math:`s = (0, 0, -b_w,
    -b_h)`: no prior moves the centre.

    Args:
        **kwargs: See :class:`YOLOBBoxCoder`.
    """

    def encode(
        self,
        bboxes: Tensor | BaseBoxes,
        gt_bboxes: Tensor | BaseBoxes,
        stride: Tensor | int,
    ) -> Tensor:
        """Codes of boxes.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) priors
                ``(x1, y1, x2, y2)`` in px, at the centres of cells.
            gt_bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) boxes likewise.
            stride (Tensor | int): Side of the cells in px, one or (n,).

        Returns:
            Tensor: (n, 4) codes; in [``eps``, 1 - ``eps``] the first two.
        """
        codes = super().encode(
            lift(get_box_tensor(bboxes)),
            lift(get_box_tensor(gt_bboxes)),
            stride,
        )
        return finite_without_area(codes, bboxes, gt_bboxes, LIMIT)

    def decode(
        self,
        bboxes: Tensor | BaseBoxes,
        pred_bboxes: Tensor,
        stride: Tensor | int,
    ) -> Tensor | BaseBoxes:
        """Boxes of given codes.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (..., n, 4) priors
                ``(x1, y1, x2, y2)`` in px, at the centres of cells.
            pred_bboxes (Tensor): (..., n, 4) codes.
            stride (Tensor | int): Side of the cells in px, one or (n, 1).

        Returns:
            Tensor | :obj:`BaseBoxes`: Boxes ``(x1, y1, x2, y2)`` in px, in
            at least single precision, finite where the codes are numbers.
        """
        center, size = lift(pred_bboxes).split(2, -1)
        center = center.clamp(-MAX_RATIO, MAX_RATIO)
        size = size.clamp(-LIMIT, LIMIT)
        return super().decode(
            lift(get_box_tensor(bboxes)),
            torch.cat([center, size], -1),
            stride,
        )
