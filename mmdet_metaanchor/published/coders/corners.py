"""Corner offsets, divided by variances."""

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_tensor
from torch import Tensor

from ...runtime.arguments import known_arguments
from .variances import MAX_RATIO, check_variances, lift


@TASK_UTILS.register_module()
@known_arguments
class CornersVarianceBBoxCoder(BaseBBoxCoder):
    r"""Corner offsets from a prior, each divided by its variance.

    With a prior of corners :math:`(x_{1a}, y_{1a}, x_{2a}, y_{2a})` and size
    :math:`(w_a, h_a)`, a box :math:`(x_1, y_1, x_2, y_2)` and variances
    :math:`\sigma` (the CORNER coding of SSD's code):

    .. math::
        t_1 = (x_1 - x_{1a}) / (w_a \sigma_1), \quad
        t_2 = (y_1 - y_{1a}) / (h_a \sigma_2), \\
        t_3 = (x_2 - x_{2a}) / (w_a \sigma_3), \quad
        t_4 = (y_2 - y_{2a}) / (h_a \sigma_4).

    A side of a prior below 1e-8 px counts as 1e-8 px. Of the shape of a prior
    the codes depend as :func:`units_of_prior` says, with

    .. math::
        D = \mathrm{diag}(e^{-b_w}, e^{-b_h}, e^{-b_w}, e^{-b_h}), \quad
        s_i = \pm (1 - D_i) / (2 \sigma_i),

    plus for :math:`x_1` and :math:`y_1`, minus for :math:`x_2` and
    :math:`y_2`.

    Args:
        variances (Sequence[float]): :math:`\sigma_1` to :math:`\sigma_4`, in
            the order of the offsets. Defaults to (0.1, 0.1, 0.2, 0.2).
        clip_border (bool): Whether to clip decoded boxes to the image.
            Defaults to True.
        **kwargs: See :class:`BaseBBoxCoder`.

    Raises:
        ValueError: ``variances`` are not four positive finite numbers.
    """

    # Where x1, y1, x2 and y2 stand among the offsets.
    order = (0, 1, 2, 3)

    def __init__(
        self,
        variances: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        clip_border: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.variances = check_variances(variances)
        self.clip_border = clip_border

    def encode(
        self, bboxes: Tensor | BaseBoxes, gt_bboxes: Tensor | BaseBoxes
    ) -> Tensor:
        """Offsets of boxes from their priors.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) priors
                ``(x1, y1, x2, y2)`` in px.
            gt_bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) boxes likewise.

        Returns:
            Tensor: (n, 4) offsets.
        """
        priors = lift(get_box_tensor(bboxes))
        boxes = lift(get_box_tensor(gt_bboxes))
        corners = (boxes - priors) / _sides(priors)
        # argsort inverts the order
        place = torch.tensor(self.order, device=corners.device).argsort()
        return corners[..., place] / corners.new_tensor(self.variances)

    def decode(
        self,
        bboxes: Tensor | BaseBoxes,
        pred_bboxes: Tensor,
        max_shape: Sequence | Tensor | None = None,
    ) -> Tensor | BaseBoxes:
        """Boxes at given offsets from their priors.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) or (images, n, 4)
                priors ``(x1, y1, x2, y2)`` in px.
            pred_bboxes (Tensor): Offsets, of the same shape or with
                classes * 4 in its place of 4.
            max_shape (Sequence | Tensor, optional): ``(height, width)`` in
                px to clip to, or one such for every image.

        Returns:
            Tensor | :obj:`BaseBoxes`: Boxes ``(x1, y1, x2, y2)`` in px, in
            at least single precision, finite where the offsets are numbers.
        """
        priors = lift(get_box_tensor(bboxes)).unsqueeze(-2)
        offsets = lift(pred_bboxes).unflatten(-1, (-1, 4))  # of each class
        offsets = offsets * offsets.new_tensor(self.variances)
        offsets = offsets[..., self.order].clamp(-MAX_RATIO, MAX_RATIO)
        boxes = offsets * _sides(priors) + priors
        if self.clip_border and max_shape is not None:
            edge = boxes.new_tensor(max_shape)[..., [1, 0, 1, 0]]
            # one edge for all boxes, or one for all boxes of an image
            edge = edge.view(*edge.shape[:-1], 1, 1, 4)
            boxes = boxes.clamp(min=0).minimum(edge)
        boxes = boxes.flatten(-2)
        return HorizontalBoxes(boxes) if self.use_box_type else boxes


def _sides(priors: Tensor) -> Tensor:
    """(w, h, w, h) of priors, none 0."""
    return (
        (priors[..., 2:] - priors[..., :2])
        .clamp(min=1 / MAX_RATIO)
        .repeat(*[1] * (priors.ndim - 1), 2)
    )
