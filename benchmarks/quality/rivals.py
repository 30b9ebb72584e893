"""Detectors of MMDetection that MetaAnchor is compared with."""

from mmdet.models.dense_heads import GARetinaHead
from mmdet.registry import MODELS
from torch import Tensor, nn


class _Unmasked(nn.Conv2d):
    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(features)


@MODELS.register_module()
class UnmaskedGARetinaHead(GARetinaHead):
    """GARetinaHead that can detect without a GPU.

    MMCV has masked convolutions for GPUs alone. These compute every place, of
    which the head then reads those of the mask, as ever.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        for conv in (self.retina_cls, self.retina_reg):
            conv.__class__ = _Unmasked
