"""Centre and size offsets, divided by variances: the coding of SSD."""

import math
from collections.abc import Sequence

from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from ...runtime.arguments import known_arguments
from .variances import (
    MAX_RATIO,
    check_variances,
    finite_without_area,
    lift,
)


@TASK_UTILS.register_module()
@known_arguments
class DeltaXYWHVarianceBBoxCoder(DeltaXYWHBBoxCoder):
    r"""Centre and size offsets from a prior, each divided by its variance.

    With a prior of centre :math:`(x_a, y_a)` and size :math:`(w_a, h_a)`, a
    box :math:`(x, y, w, h)` and variances :math:`\sigma` (`SSD
    <https://arxiv.org/abs/1512.02325>`_, whose code calls them so):

    .. math::
        t_x = (x - x_a) / (w_a \sigma_1), \quad
        t_y = (y - y_a) / (h_a \sigma_2), \\
        t_w = \log(w / w_a) / \sigma_3, \quad
        t_h = \log(h / h_a) / \sigma_4.

    :class:`DeltaXYWHBBoxCoder` computes the same with the variances as
    ``target_stds``. It differs at the ends: it clamps decoded sizes to 62.5
    times the prior's and back, so boxes beyond do not survive a round trip,
    and it makes NaN or infinite numbers of boxes without area and of very
    large offsets. Here sizes are clamped to 1e8 times the prior's, and
    offsets stay finite.

    Of the shape of a prior the codes depend as :func:`units_of_prior` says,
    with :math:`D = \mathrm{diag}(e^{-b_w}, e^{-b_h}, 1, 1)` and :math:`s =
    (0, 0, -b_w / \sigma_3, -b_h / \sigma_4)`.

    Args:
        variances (Sequence[float]): :math:`\sigma_1` to :math:`\sigma_4`.
            Defaults to (0.1, 0.1, 0.2, 0.2).
        **kwargs: See :class:`DeltaXYWHBBoxCoder`.

    Raises:
        ValueError: ``variances`` are not four positive finite numbers.
    """

    def __init__(
        self, variances: Sequence[float] = (0.1, 0.1, 0.2, 0.2), **kwargs
    ) -> None:
        super().__init__(target_stds=check_variances(variances), **kwargs)

    def encode(
        self, bboxes: Tensor | BaseBoxes, gt_bboxes: Tensor | BaseBoxes
    ) -> Tensor:
        """Offsets of boxes from their priors.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) priors
                ``(x1, y1, x2, y2)`` in px.
            gt_bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) boxes likewise.

        Returns:
            Tensor: (n, 4) ``(tx, ty, tw, th)``. Where a prior or a box has
            no width or no height they say as much as they can: finite
            numbers, of the largest ratio or 0.
        """
        offsets = super().encode(bboxes, gt_bboxes)
        limit = math.log(MAX_RATIO) / min(self.stds)
        return finite_without_area(offsets, bboxes, gt_bboxes, limit)

    def decode(
        self,
        bboxes: Tensor | BaseBoxes,
        pred_bboxes: Tensor,
        max_shape: Sequence | Tensor | None = None,
        wh_ratio_clip: float = 1 / MAX_RATIO,
    ) -> Tensor | BaseBoxes:
        """Boxes at given offsets from their priors.

        Args:
            bboxes (Tensor | :obj:`BaseBoxes`): (n, 4) or (images, n, 4)
                priors ``(x1, y1, x2, y2)`` in px.
            pred_bboxes (Tensor): Offsets, of the same shape or with
                classes * 4 in its place of 4.
            max_shape (Sequence | Tensor, optional): ``(height, width)`` in
                px to clip to, or one such for every image.
            wh_ratio_clip (float): Smallest ratio of a side to the prior's;
                its inverse is the largest one. Defaults to 1e-8.

        Returns:
            Tensor | :obj:`BaseBoxes`: Boxes ``(x1, y1, x2, y2)`` in px, in
            at least single precision, finite where the offsets are numbers.
        """
        largest = MAX_RATIO / min(self.stds)
        return super().decode(
            lift(get_box_tensor(bboxes)),
            lift(pred_bboxes).clamp(-largest, largest),
            max_shape,
            wh_ratio_clip,
        )
