"""MetaAnchor for MMDetection. Importing it registers every component."""

from .stack import check_stack, register_config_package
from .version import __version__

check_stack()
register_config_package()

from .anchor_function import AnchorFunctionGenerator
from .anchors import customize_anchors
from .prior_generator import MetaAnchorGenerator
from .retina_head import MetaRetinaHead

__all__ = [
    'AnchorFunctionGenerator',
    'MetaAnchorGenerator',
    'MetaRetinaHead',
    '__version__',
    'customize_anchors',
]
