"""SSD's head, repaired."""

from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS

from ..runtime.arguments import known_arguments


@MODELS.register_module()
@known_arguments
class RepairedSSDHead(SSDHead):
    """The stock head, able to predict.

    MMDetection 3.3 asks every dense head for its ``loss_cls`` when it
    predicts, and :class:`SSDHead` has none: it trains, and then stops with an
    ``AttributeError`` at the first evaluation. All arguments are those of
    :class:`SSDHead`.
    """

    loss_cls = None
