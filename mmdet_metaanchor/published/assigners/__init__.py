"""Matching of ground truths to priors."""

from .faster_rcnn import FasterRCNNAssigner
from .scale_compensation import ScaleCompensationAssigner
from .ssd import SSDAssigner
from .yolov3 import YOLOv3Assigner
from .zero_loss import ZeroLossAssigner

__all__ = [
    'FasterRCNNAssigner',
    'SSDAssigner',
    'ScaleCompensationAssigner',
    'YOLOv3Assigner',
    'ZeroLossAssigner',
]
