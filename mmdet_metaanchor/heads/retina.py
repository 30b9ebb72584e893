"""MetaRetinaHead: joins priors and anchor functions to RetinaHead."""

from collections.abc import Sequence

from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..method.meta_head import Branch, MetaHeadMixin, Towers


@MODELS.register_module()
class MetaRetinaHead(MetaHeadMixin, RetinaHead):
    """RetinaHead whose last two convolutions are generated from the priors.

    The last layer of each tower, ``retina_cls`` and ``retina_reg``, is an
    :class:`AnchorFunctionGenerator` (Eq. 4 of `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_), shared by all levels.

    Args:
        *args: Arguments of :class:`RetinaHead`.
        anchor_generator (dict): Config of a :class:`MetaAnchorGenerator`.
            Defaults to the anchors of :class:`RetinaHead`.
        **kwargs: Other arguments of :class:`MetaHeadMixin` and of
            :class:`RetinaHead`.
    """

    def __init__(
        self,
        *args,
        anchor_generator: dict = dict(  # noqa: B006 (never modified)
            type='MetaAnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
        ),
        **kwargs,
    ) -> None:
        super().__init__(*args, anchor_generator=anchor_generator, **kwargs)

    def _init_layers(self) -> None:
        super()._init_layers()
        # As sequences the towers can be called; parameter names stay.
        self.cls_convs = nn.Sequential(*self.cls_convs)
        self.reg_convs = nn.Sequential(*self.reg_convs)
        self.retina_cls = self._anchor_functions(
            self.retina_cls, self.num_base_priors
        )
        self.retina_reg = self._anchor_functions(
            self.retina_reg, self.num_base_priors, output_map=self.box_map
        )

    def towers(self, feats: Sequence[Tensor]) -> Towers:
        """See :class:`MetaHeadMixin`; branches for classes and for boxes."""
        return (
            [self.cls_convs(feat) for feat in feats],
            [self.reg_convs(feat) for feat in feats],
        )

    def branches(self) -> tuple[Branch, ...]:
        """See :class:`MetaHeadMixin`; class logits and encoded boxes."""
        return self.retina_cls, self.retina_reg
