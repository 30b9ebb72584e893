"""Codings of boxes relative to priors."""

from .corners import CornersVarianceBBoxCoder
from .delta_xywh import DeltaXYWHVarianceBBoxCoder
from .direct_location import DirectLocationBBoxCoder
from .min_max import MinMaxVarianceBBoxCoder

__all__ = [
    'CornersVarianceBBoxCoder',
    'DeltaXYWHVarianceBBoxCoder',
    'DirectLocationBBoxCoder',
    'MinMaxVarianceBBoxCoder',
]
