"""MetaAnchor for MMDetection.

Importing it registers every component, and lets ``torch.load`` read MMEngine's
checkpoints.
"""

from .stack import check_stack, register_config_package
from .version import __version__

check_stack()
register_config_package()

from .anchor_function import AnchorFunctionGenerator
from .anchors import customize_anchors, read_anchors, write_anchors
from .assigners import (
    FasterRCNNAssigner,
    SSDAssigner,
    YOLOv3Assigner,
    ZeroLossAssigner,
)
from .bake import bake_anchors
from .clusters import dimension_clusters
from .coders import (
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    DirectLocationBBoxCoder,
    MinMaxVarianceBBoxCoder,
)
from .launch import allow_checkpoint_classes
from .losses import ObjectnessLoss
from .multibox import MultiBoxAnchorGenerator
from .onnx_export import export_onnx
from .prior_generator import MetaAnchorGenerator
from .retina_head import MetaRetinaHead
from .ssd_head import RepairedSSDHead

allow_checkpoint_classes()

__all__ = [
    'AnchorFunctionGenerator',
    'CornersVarianceBBoxCoder',
    'DeltaXYWHVarianceBBoxCoder',
    'DirectLocationBBoxCoder',
    'FasterRCNNAssigner',
    'MetaAnchorGenerator',
    'MetaRetinaHead',
    'MinMaxVarianceBBoxCoder',
    'MultiBoxAnchorGenerator',
    'ObjectnessLoss',
    'RepairedSSDHead',
    'SSDAssigner',
    'YOLOv3Assigner',
    'ZeroLossAssigner',
    '__version__',
    'bake_anchors',
    'customize_anchors',
    'dimension_clusters',
    'export_onnx',
    'read_anchors',
    'write_anchors',
]
