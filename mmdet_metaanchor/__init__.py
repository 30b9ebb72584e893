"""MetaAnchor for MMDetection.

Importing it registers every component, and lets ``torch.load`` read MMEngine's
checkpoints.
"""

from .runtime.stack import check_stack, register_config_package
from .version import __version__

check_stack()
register_config_package()

from .anchors.anchors_file import read_anchors, write_anchors
from .anchors.clusters import dimension_clusters
from .anchors.coverage_hook import AnchorCoverageHook
from .anchors.customize import customize_anchors
from .datasets.checked_coco import CheckedCocoDataset
from .export.bake import bake_anchors
from .export.onnx_export import export_onnx
from .heads.retina import MetaRetinaHead
from .heads.rpn import MetaRPNHead
from .heads.ssd import MetaSSDHead
from .heads.yolov3 import MetaYOLOV3Head
from .method.anchor_function import AnchorFunctionGenerator
from .method.meta_head import MetaHeadMixin
from .method.prior_generator import MetaAnchorGenerator
from .published.assigners import (
    FasterRCNNAssigner,
    ScaleCompensationAssigner,
    SSDAssigner,
    YOLOv3Assigner,
    ZeroLossAssigner,
)
from .published.coders import (
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    DirectLocationBBoxCoder,
    MinMaxVarianceBBoxCoder,
)
from .published.losses import ObjectnessLoss
from .published.multibox import MultiBoxAnchorGenerator
from .published.ssd_head import RepairedSSDHead
from .runtime.checkpoints import read_checkpoints_of_mmengine
from .runtime.exact_loops import (
    ExactEpochBasedTrainLoop,
    ExactIterBasedTrainLoop,
)
from .runtime.finite_steps import FiniteOptimWrapper

read_checkpoints_of_mmengine()

__all__ = [
    'AnchorCoverageHook',
    'AnchorFunctionGenerator',
    'CheckedCocoDataset',
    'CornersVarianceBBoxCoder',
    'DeltaXYWHVarianceBBoxCoder',
    'DirectLocationBBoxCoder',
    'ExactEpochBasedTrainLoop',
    'ExactIterBasedTrainLoop',
    'FasterRCNNAssigner',
    'FiniteOptimWrapper',
    'MetaAnchorGenerator',
    'MetaHeadMixin',
    'MetaRPNHead',
    'MetaRetinaHead',
    'MetaSSDHead',
    'MetaYOLOV3Head',
    'MinMaxVarianceBBoxCoder',
    'MultiBoxAnchorGenerator',
    'ObjectnessLoss',
    'RepairedSSDHead',
    'SSDAssigner',
    'ScaleCompensationAssigner',
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
