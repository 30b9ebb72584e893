"""Corner offsets in the order of axes."""

from mmdet.registry import TASK_UTILS

from ...runtime.arguments import known_arguments
from .corners import CornersVarianceBBoxCoder


@TASK_UTILS.register_module()
@known_arguments
class MinMaxVarianceBBoxCoder(CornersVarianceBBoxCoder):
    r"""The offsets of :class:`CornersVarianceBBoxCoder` by axis.

    Their order is :math:`x_1, x_2, y_1, y_2`, and so is that of the
    variances: minimum and maximum of x, then of y. Boxes stay
    ``(x1, y1, x2, y2)``. D and s are those of the corners, in this order.

    Args:
        variances (Sequence[float]): In the order of the offsets. Defaults to
            (0.1, 0.1, 0.2, 0.2).
        **kwargs: See :class:`CornersVarianceBBoxCoder`.
    """

    order = (0, 2, 1, 3)
