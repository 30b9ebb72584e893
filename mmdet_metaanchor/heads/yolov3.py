"""MetaYOLOV3Head: joins priors and anchor functions to YOLOV3Head."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import YOLOV3Head
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..method.memo import Memo
from ..method.meta_head import Branch, MetaHeadMixin, Towers


@MODELS.register_module()
class MetaYOLOV3Head(MetaHeadMixin, YOLOV3Head):
    """YOLOV3Head whose last convolutions are generated from the priors.

    Every level has one of its own: ``convs_pred[l]``, 1x1, is an
    :class:`AnchorFunctionGenerator` of that level (Eq. 4 of `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_), which shares nothing with those of
    the others: one hidden layer for all levels was no better on the digits
    (mAP of three seeds 49.5, to 51.1; with clustered anchors 46.1, to 45.8).
    Its 5 + C outputs of a prior are the box, the objectness and
    the C classes, in this order. The unit of the codes is the mean prior of
    each level, unless the prior generator is told otherwise.

    Args:
        *args: Arguments of :class:`YOLOV3Head`.
        **kwargs: Other arguments of :class:`MetaHeadMixin` and of
            :class:`YOLOV3Head`, among them ``anchor_generator``, the config
            of a :class:`MetaAnchorGenerator`.
    """

    ONE_UNIT = False
    CUTS_EACH_LEVEL = False

    def _init_layers(self) -> None:
        super()._init_layers()
        self._maps = Memo()
        for level, conv in enumerate(self.convs_pred):
            self.convs_pred[level] = self._anchor_functions(
                conv, self.num_base_priors, self._output_map, level
            )

    def _output_map(self, codes: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """:meth:`box_map` for boxes, and all other outputs as they are."""
        scale, shift = self.box_map(codes, level)
        others = (0, self.num_attrib - 4)
        # The same objects, for what is kept of them.
        return self._maps(
            lambda: (F.pad(scale, others, value=1.0), F.pad(shift, others)),
            scale,
            shift,
        )

    def init_weights(self) -> None:
        """Initialise as stock does, theta* in the place of its filters."""
        functions, number = self.convs_pred, self.num_base_priors
        self.convs_pred = nn.ModuleList(part.shared for part in functions)
        self.num_base_priors = 1
        try:
            super().init_weights()
        finally:
            self.convs_pred, self.num_base_priors = functions, number
        for part in functions:
            part.init_weights()

    def towers(self, feats: Sequence[Tensor]) -> Towers:
        """See :class:`MetaHeadMixin`; one branch for all outputs."""
        return (
            [
                bridge(feat)
                for bridge, feat in zip(self.convs_bridge, feats, strict=True)
            ],
        )

    def branches(self) -> tuple[Branch, ...]:
        """See :class:`MetaHeadMixin`; all outputs of a prior."""
        return (self.convs_pred,)

    def read_level(
        self, outputs: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`LevelOutputs`; the factor is the objectness."""
        (output,) = outputs
        rows = output.permute(1, 2, 0).reshape(-1, self.num_attrib)
        center, size, objectness, logits = rows.split(
            [2, 2, 1, self.num_classes], dim=1
        )
        scores, objectness = logits.sigmoid(), objectness[:, 0].sigmoid()
        threshold = self.test_cfg.get('conf_thr', -1)
        if threshold > 0:
            # No score threshold lets these pass.
            scores = scores.masked_fill((objectness < threshold)[:, None], -1)
        codes = torch.cat([center.sigmoid(), size], dim=1)
        return scores, codes, objectness

    def decode_level(
        self, priors: Tensor, codes: Tensor, level: int, img_shape: tuple
    ) -> Tensor:
        """See :class:`LevelOutputs`; no coder of YOLO clips."""
        return self.bbox_coder.decode(
            priors, codes, self.featmap_strides[level]
        )
