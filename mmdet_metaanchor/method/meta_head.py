"""MetaHeadMixin: what every MetaAnchor head shares."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor, nn

from .anchor_function import AnchorFunctionGenerator
from .prior_generator import MetaAnchorGenerator

# Outputs of the towers: for each branch, one feature per level.
Towers = Sequence[Sequence[Tensor]]


class MetaHeadMixin:
    """Makes a MetaAnchor head of a stock dense head.

    It goes before the stock head: ``class MetaRetinaHead(MetaHeadMixin,
    RetinaHead)``. Losses, assigner, coder, prediction and NMS stay those of
    the stock head. A head has to

    - replace its last convolutions in ``_init_layers``, after
      ``super()._init_layers()``, by what :meth:`_anchor_functions` makes of
      them;
    - say in :meth:`towers` what they see, and in :meth:`last_layers` how they
      are applied.

    The parameters do not depend on the number or the shape of the priors.
    The buffer ``standard_boxes``, (1, 2) or (levels, 2), is the unit that
    they were trained in: (AH, AW) in strides. Loading a checkpoint hands it
    to the prior generator. Checkpoints of version 0.1 hold ``standard_box``,
    (2,), in px at the smallest stride; they are taken for trained on the
    strides of the head that loads them.

    Args:
        *args: Arguments of the stock head, among them ``anchor_generator``,
            the config of a :class:`MetaAnchorGenerator`.
        anchor_function (dict, optional): Config of the anchor function
            generators, e.g. ``dict(data_dependent=True)``; ``type``,
            channels and kernel size default to those that replace the stock
            convolutions.
        **kwargs: Other arguments of the stock head.

    Raises:
        TypeError: ``anchor_generator`` is of another type.
    """

    def __init__(
        self, *args, anchor_function: dict | None = None, **kwargs
    ) -> None:
        self.anchor_function = anchor_function or {}
        super().__init__(*args, **kwargs)
        self.register_buffer(
            'standard_boxes', self.prior_generator.standard_boxes.clone()
        )

    def _init_layers(self) -> None:
        if not isinstance(self.prior_generator, MetaAnchorGenerator):
            raise TypeError(
                f'{type(self).__name__} needs anchor_generator=dict(type='
                "'MetaAnchorGenerator', ...), got "
                f'{type(self.prior_generator).__name__}; the other arguments '
                'may stay as they are'
            )
        super()._init_layers()

    def _anchor_functions(self, conv: nn.Conv2d, num_priors: int) -> nn.Module:
        """Anchor function generator in the place of a stock convolution.

        Args:
            conv (nn.Conv2d): The last layer of a stock head.
            num_priors (int): Priors per cell that its outputs are for.
        """
        return MODELS.build(
            self.anchor_function,
            default_args=dict(
                type='AnchorFunctionGenerator',
                in_channels=conv.in_channels,
                out_channels=conv.out_channels // num_priors,
                kernel_size=conv.kernel_size[0],
            ),
        )

    def anchor_functions(self) -> dict[str, AnchorFunctionGenerator]:
        """The generators by name, in the order of the head's outputs."""
        return {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, AnchorFunctionGenerator)
        }

    def init_weights(self) -> None:
        """Initialise; generators in plain containers of PyTorch, too.

        MMEngine asks only direct children, and ``nn.ModuleList`` does not
        pass the call on.
        """
        super().init_weights()
        for functions in self.anchor_functions().values():
            if not functions.is_init:
                functions.init_weights()

    @abstractmethod
    def towers(self, feats: Sequence[Tensor]) -> Towers:
        """What the last layers see.

        Args:
            feats (Sequence[Tensor]): (N, C, H, W) features of the neck, one
                per level.

        Returns:
            tuple[list[Tensor], ...]: For each branch of the head, one
            feature (N, C', H, W) per level. They do not depend on priors.
        """

    @abstractmethod
    def last_layers(self, towers: Towers, codes: Sequence[Tensor]) -> tuple:
        """Outputs of priors.

        Args:
            towers (tuple[list[Tensor], ...]): As :meth:`towers` gives them.
            codes (Sequence[Tensor]): (A, 2) codes of the priors, log-space,
                one tensor per level.

        Returns:
            tuple[list[Tensor], ...]: What the stock head's ``forward``
            returns for these priors.
        """

    def __call__(self, x: Sequence[Tensor]) -> tuple:
        """Call :meth:`forward` with the codes of the present priors.

        Activation checkpointing runs ``forward`` again in the backward pass,
        when the jitter is over: it has to find its codes in its arguments.
        """
        return super().__call__(x, self.prior_generator.codes())

    def forward(
        self, x: Sequence[Tensor], codes: Sequence[Tensor] | None = None
    ) -> tuple:
        """Outputs of the present priors.

        Args:
            x (Sequence[Tensor]): (N, C, H, W) features, one per level.
            codes (Sequence[Tensor], optional): (A, 2) codes of the priors,
                log-space, one tensor per level. Defaults to those of the
                present priors.

        Returns:
            tuple[list[Tensor], ...]: As the stock head returns, for
            RetinaNet ``cls_scores``, (N, A * C, H, W) logits, and
            ``bbox_preds``, (N, A * 4, H, W) encoded deltas, one tensor per
            level, ordered by prior.
        """
        if codes is None:
            codes = self.prior_generator.codes()
        return self.last_layers(self.towers(x), codes)

    def loss(self, *args, **kwargs) -> dict:
        """Losses of the stock head under one draw of the jitter."""
        with self._jitter():
            return super().loss(*args, **kwargs)

    def loss_and_predict(self, *args, **kwargs) -> tuple:
        """Losses and boxes of the stock head under one draw."""
        with self._jitter():
            return super().loss_and_predict(*args, **kwargs)

    def _jitter(self) -> AbstractContextManager:
        if self.training:
            return self.prior_generator.jittered()
        return nullcontext()

    def check_prior_generator(self, priors: MetaAnchorGenerator) -> None:
        """Refuse priors that this head cannot predict with.

        Raises:
            ValueError: Their strides, in px, are not those of this head.
        """
        strides = self.prior_generator.strides
        if priors.strides != strides:
            raise ValueError(
                f'the head has {len(strides)} levels of strides {strides}, '
                f'the anchors have {priors.num_levels} of strides '
                f'{priors.strides}'
            )

    def set_prior_generator(self, priors: MetaAnchorGenerator) -> None:
        """Predict with other priors from now on.

        Args:
            priors (MetaAnchorGenerator): The new priors. Their standard box
                becomes that of this head.

        Raises:
            ValueError: See :meth:`check_prior_generator`.
        """
        self.check_prior_generator(priors)
        priors.standard_boxes = self.prior_generator.standard_boxes
        self.prior_generator = priors
        # Stock heads keep a copy, of one level or of all.
        numbers = priors.num_base_priors
        several = isinstance(self.num_base_priors, list)
        self.num_base_priors = numbers if several else numbers[0]

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        key, old_key = (
            prefix + name for name in ('standard_boxes', 'standard_box')
        )
        priors = self.prior_generator
        configured = priors.standard_box
        if old_key in state_dict:  # version 0.1
            priors.standard_box = state_dict.pop(old_key)
            state_dict[key] = priors.standard_boxes
        elif key in state_dict:
            priors.standard_boxes = state_dict[key]
        if priors.standard_boxes.shape != self.standard_boxes.shape:
            # One row became one per level, or the other way round.
            self.standard_boxes = priors.standard_boxes.to(
                self.standard_boxes, copy=True
            )
        super()._load_from_state_dict(state_dict, prefix, *args)
        if priors.standard_box != configured:
            print_log(
                f'The standard box {configured} px of the config gives way to '
                f'{priors.standard_box} px, which is '
                f'{priors.standard_boxes.tolist()} strides, the unit that the '
                'checkpoint was trained in.',
                logger='current',
            )
