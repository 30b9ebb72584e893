"""MetaSSDHead: joins priors and anchor functions to SSD's head."""

from collections.abc import Sequence

from mmdet.registry import MODELS
from torch import Tensor

from ..method.meta_head import Branch, MetaHeadMixin, Towers
from ..published.ssd_head import RepairedSSDHead


@MODELS.register_module()
class MetaSSDHead(MetaHeadMixin, RepairedSSDHead):
    """SSD's head whose last convolutions are generated from the priors.

    Every level has convolutions of its own: the last of ``cls_convs[l]`` and
    the last of ``reg_convs[l]`` are :class:`AnchorFunctionGenerator` of that
    level (Eq. 4 of `MetaAnchor <https://arxiv.org/abs/1807.00980>`_), which
    share nothing with those of the others: one hidden layer for all levels
    was no better on the digits (mAP of three seeds 53.3, to 53.6; with
    clustered anchors 49.9, to 52.2). Levels may have different numbers of
    priors. The unit of the codes is the mean prior of each level, unless
    the prior generator is told otherwise.

    Args:
        *args: Arguments of :class:`SSDHead`.
        **kwargs: Other arguments of :class:`MetaHeadMixin` and of
            :class:`SSDHead`, among them ``anchor_generator``, the config of
            a :class:`MetaAnchorGenerator`.
    """

    ONE_UNIT = False

    def _init_layers(self) -> None:
        super()._init_layers()
        for convs, output_map in (
            (self.cls_convs, None),
            (self.reg_convs, self.box_map),
        ):
            for index, level in enumerate(convs):
                level[-1] = self._anchor_functions(
                    level[-1], self.num_base_priors[index], output_map, index
                )

    def towers(self, feats: Sequence[Tensor]) -> Towers:
        """See :class:`MetaHeadMixin`; branches for classes and for boxes."""
        return tuple(
            [
                level[:-1](feat)
                for level, feat in zip(convs, feats, strict=True)
            ]
            for convs in (self.cls_convs, self.reg_convs)
        )

    def branches(self) -> tuple[Branch, ...]:
        """See :class:`MetaHeadMixin`; class logits and encoded boxes."""
        return (
            [level[-1] for level in self.cls_convs],
            [level[-1] for level in self.reg_convs],
        )
