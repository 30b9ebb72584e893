"""MetaRetinaHead: joins priors and anchor functions to RetinaHead."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor, nn

from ..method.prior_generator import MetaAnchorGenerator


@MODELS.register_module()
class MetaRetinaHead(RetinaHead):
    """RetinaHead whose last two convolutions are generated from the priors.

    The last layer of each tower, ``retina_cls`` and ``retina_reg``, is an
    :class:`AnchorFunctionGenerator` (Eq. 4 of `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_). Everything else, losses,
    assigner, coder, prediction and NMS, is inherited. The parameters do not
    depend on the number or the shape of the priors; the buffer
    ``standard_box``, (AH, AW) in px, is the unit they were trained in, and
    loading a checkpoint hands it to the prior generator.

    Args:
        *args: Arguments of :class:`RetinaHead`.
        anchor_generator (dict): Config of a :class:`MetaAnchorGenerator`.
        anchor_function (dict, optional): Config of the anchor function
            generator, e.g. ``dict(data_dependent=True)``; ``type``,
            ``in_channels`` and ``out_channels`` are filled in.
        **kwargs: Other arguments of :class:`RetinaHead`.

    Raises:
        TypeError: ``anchor_generator`` is of another type.
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
        anchor_function: dict | None = None,
        **kwargs,
    ) -> None:
        self.anchor_function = anchor_function or {}
        super().__init__(*args, anchor_generator=anchor_generator, **kwargs)
        self.register_buffer(
            'standard_box', torch.tensor(self.prior_generator.standard_box)
        )

    def _init_layers(self) -> None:
        if not isinstance(self.prior_generator, MetaAnchorGenerator):
            raise TypeError(
                'MetaRetinaHead needs anchor_generator=dict(type='
                "'MetaAnchorGenerator', ...), got "
                f'{type(self.prior_generator).__name__}; the other arguments '
                'may stay as they are'
            )
        super()._init_layers()
        # As sequences the towers can be called; parameter names stay.
        self.cls_convs = nn.Sequential(*self.cls_convs)
        self.reg_convs = nn.Sequential(*self.reg_convs)
        self.retina_cls = self._build_anchor_function(self.cls_out_channels)
        self.retina_reg = self._build_anchor_function(
            self.bbox_coder.encode_size
        )

    def _build_anchor_function(self, out_channels: int) -> nn.Module:
        channels = (
            self.feat_channels if self.stacked_convs else self.in_channels
        )
        return MODELS.build(
            self.anchor_function,
            default_args=dict(
                type='AnchorFunctionGenerator',
                in_channels=channels,
                out_channels=out_channels,
            ),
        )

    def __call__(
        self, x: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Call :meth:`forward` with the codes of the present priors.

        Activation checkpointing runs ``forward`` again in the backward pass,
        when the jitter is over: it has to find its codes in its arguments.
        """
        return super().__call__(x, self.prior_generator.codes())

    def forward(
        self, x: Sequence[Tensor], codes: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Scores and deltas of the present priors.

        Args:
            x (Sequence[Tensor]): (N, in_channels, H, W), one a level.
            codes (Sequence[Tensor], optional): (A, 2) codes of the priors,
                log-space, one a level. Defaults to those of the present.

        Returns:
            tuple[list[Tensor], list[Tensor]]: ``cls_scores``, (N, A * C, H,
            W) logits, and ``bbox_preds``, (N, A * 4, H, W) encoded deltas,
            one tensor a level, ordered by prior as in :class:`RetinaHead`.
        """
        if codes is None:
            codes = self.prior_generator.codes()
        return (
            self.retina_cls([self.cls_convs(feat) for feat in x], codes),
            self.retina_reg([self.reg_convs(feat) for feat in x], codes),
        )

    def loss(self, *args, **kwargs) -> dict:
        """Losses under one draw of the jitter; see :class:`RetinaHead`."""
        with self._jitter():
            return super().loss(*args, **kwargs)

    def loss_and_predict(self, *args, **kwargs) -> tuple:
        """Losses and boxes under one draw; see :class:`RetinaHead`."""
        with self._jitter():
            return super().loss_and_predict(*args, **kwargs)

    def _jitter(self) -> AbstractContextManager:
        if self.training:
            return self.prior_generator.jittered()
        return nullcontext()

    def set_prior_generator(
        self, prior_generator: MetaAnchorGenerator
    ) -> None:
        """Predict with other priors from now on.

        Args:
            prior_generator (MetaAnchorGenerator): The new priors. Its
                standard box becomes that of this head.

        Raises:
            ValueError: Its strides, in px, are not those of this head.
        """
        strides = self.prior_generator.strides
        if prior_generator.strides != strides:
            raise ValueError(
                f'the head has {len(strides)} levels of strides {strides}, '
                f'the anchors have {prior_generator.num_levels} of strides '
                f'{prior_generator.strides}'
            )
        prior_generator.standard_box = self.prior_generator.standard_box
        self.prior_generator = prior_generator
        self.num_base_priors = prior_generator.num_base_priors[0]

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        trained = state_dict.get(prefix + 'standard_box')
        if trained is None:
            return
        configured = self.prior_generator.standard_box
        self.prior_generator.standard_box = trained
        if self.prior_generator.standard_box != configured:
            print_log(
                f'The standard box {configured} px of the config gives way to '
                f'{self.prior_generator.standard_box} px, the unit that the '
                'checkpoint was trained in.',
                logger='current',
            )
