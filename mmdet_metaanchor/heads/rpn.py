"""MetaRPNHead: joins priors and anchor functions to RPNHead."""

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from ..method.meta_head import Branch, MetaHeadMixin, Towers


@MODELS.register_module()
class MetaRPNHead(MetaHeadMixin, RPNHead):
    """RPNHead whose last two convolutions are generated from the priors.

    For RPN and for Faster R-CNN, whose other parts stay as they are. Both
    last layers, ``rpn_cls`` and ``rpn_reg``, 1x1 convolutions on the map of
    ``rpn_conv``, are :class:`AnchorFunctionGenerator` (Eq. 4 of `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_), shared by all levels.

    Args:
        *args: Arguments of :class:`RPNHead`.
        **kwargs: Other arguments of :class:`MetaHeadMixin` and of
            :class:`RPNHead`, among them ``anchor_generator``, the config of
            a :class:`MetaAnchorGenerator`.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.rpn_cls = self._anchor_functions(
            self.rpn_cls, self.num_base_priors
        )
        self.rpn_reg = self._anchor_functions(
            self.rpn_reg, self.num_base_priors, output_map=self.box_map
        )

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[Tensor | None],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        *args,
        **kwargs,
    ) -> InstanceData:
        """As stock's, which fails on a level of a single prior.

        Such a level gets its prior twice, and :meth:`_bbox_post_process`
        drops the second.
        """
        single = [i for i, level in enumerate(mlvl_priors) if len(level) == 1]

        def doubled(levels: list[Tensor], index: list | tuple) -> list[Tensor]:
            return [
                level[index] if i in single else level
                for i, level in enumerate(levels)
            ]

        return super()._predict_by_feat_single(
            doubled(cls_score_list, (..., [0, 0])),
            doubled(bbox_pred_list, (..., [0, 0])),
            score_factor_list,
            doubled(mlvl_priors, [0, 0]),
            dict(img_meta, doubled_levels=single),
            *args,
            **kwargs,
        )

    def _bbox_post_process(
        self, results: InstanceData, *args, img_meta: dict, **kwargs
    ) -> InstanceData:
        """As stock's, of every prior once.

        NMS would not drop all that are twice: boxes without area stay, and
        so do all without NMS, or with a soft one.
        """
        if doubled := img_meta.get('doubled_levels'):
            levels = results.level_ids  # (n,), ascending
            second = levels.diff(prepend=levels[:1] - 1) == 0
            results = results[
                ~(second & torch.isin(levels, levels.new_tensor(doubled)))
            ]
        return super()._bbox_post_process(
            results, *args, img_meta=img_meta, **kwargs
        )

    def towers(self, feats: Sequence[Tensor]) -> Towers:
        """See :class:`MetaHeadMixin`; objectness and boxes see one map."""
        maps = [self.rpn_conv(feat).relu() for feat in feats]
        return maps, maps

    def branches(self) -> tuple[Branch, ...]:
        """See :class:`MetaHeadMixin`; objectness and encoded boxes."""
        return self.rpn_cls, self.rpn_reg
