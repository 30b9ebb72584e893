"""MetaHeadMixin: what every MetaAnchor head shares."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from torch import Tensor, nn

from ..runtime.arguments import known_arguments
from .anchor_function import AnchorFunctionGenerator, Basis
from .box_units import BoxUnits
from .head_state import BOX_FUNCTIONS, HeadState
from .level_outputs import LevelOutputs
from .memo import Memo
from .prior_generator import MetaAnchorGenerator
from .shape_range import nearest, range_of_level, warn_of_untrained

# Outputs of the towers: for each branch, one feature per level, or what the
# anchor functions prepare of it.
Towers = Sequence[Sequence[Tensor] | Sequence[Basis]]
# Anchor functions of a branch: for all levels, or one for each.
Branch = AnchorFunctionGenerator | Sequence[AnchorFunctionGenerator]


class MetaHeadMixin(HeadState, LevelOutputs):
    r"""Makes a MetaAnchor head of a stock dense head.

    It goes before the stock head: ``class MetaRetinaHead(MetaHeadMixin,
    RetinaHead)``. Losses, assigner, coder, prediction and NMS stay those of
    the stock head. A head has to

    - replace its last convolutions in ``_init_layers``, after
      ``super()._init_layers()``, by what :meth:`_anchor_functions` makes of
      them;
    - name them in :meth:`branches`, and say in :meth:`towers` what they see.

    The parameters do not depend on the number or the shape of the priors.
    :class:`.HeadState` says what a checkpoint holds beside them.

    What the shape of a prior says of the code of a box is known, and need not
    be learnt (``box_function``, :func:`units_of_prior`):

    - 'published': :math:`\theta_b = \theta^* + R(b)`, as in the paper;
    - 'scaled': :math:`\theta_b = D(b)\,(\theta^* + R(p)) + s(b - p)`. Offsets
      of the centre are in units of the standard box, the same for all priors;
      sizes are relative to the prior;
    - 'absolute': :math:`\theta_b = D(b)\,(\theta^* + R(p)) + s(b)`. Sizes
      are in units of the standard box, too: with R = 0 all priors of a cell
      predict the same box.

    Here p is b where shapes like it were trained, and else the nearest of
    those: a prior beyond them detects what the nearest that was trained
    detects, with the same scores and boxes. As published, it is extrapolated.

    A checkpoint of the stock head loads, too, see :func:`adopt_stock`.

    Args:
        *args: Arguments of the stock head, among them ``anchor_generator``,
            the config of a :class:`MetaAnchorGenerator`.
        anchor_function (dict, optional): Config of the anchor function
            generators, e.g. ``dict(data_dependent=True)``; ``type``,
            channels and kernel size default to those that replace the stock
            convolutions.
        box_function (str): 'published', 'scaled' or 'absolute', see above.
            Defaults to 'scaled'.
        **kwargs: Other arguments of the stock head.

    Raises:
        TypeError: ``anchor_generator`` is of another type.
        ValueError: ``box_function`` is another word, or the coder's boxes
            cannot be predicted in units of the standard box.
    """

    # Whether the levels have one standard box, in strides; where they share
    # no convolutions, each may have its own.
    ONE_UNIT = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        known_arguments(cls)

    def __init__(
        self,
        *args,
        anchor_function: dict | None = None,
        box_function: str = 'scaled',
        **kwargs,
    ) -> None:
        if box_function not in BOX_FUNCTIONS:
            raise ValueError(
                f'box_function must be one of {BOX_FUNCTIONS}, got '
                f'{box_function!r}'
            )
        self.anchor_function = anchor_function or {}
        self.box_function = box_function
        self._box_units = None
        self._boxes, self._trained = Memo(), Memo()
        super().__init__(*args, **kwargs)
        self.box_map(torch.zeros(1, 2))  # refuses a coder that has none
        self._add_buffers()

    def _init_layers(self) -> None:
        if not isinstance(self.prior_generator, MetaAnchorGenerator):
            kind = type(self.prior_generator)
            others = (
                'the other arguments may stay as they are'
                if kind is AnchorGenerator
                else 'what was there before becomes its priors=dict(...)'
            )
            raise TypeError(
                f'{type(self).__name__} needs anchor_generator=dict(type='
                f"'MetaAnchorGenerator', ...), got {kind.__name__}; {others}"
            )
        if not self.ONE_UNIT:
            self.prior_generator.use_box_per_level()
        super()._init_layers()

    def _anchor_functions(
        self,
        conv: nn.Conv2d,
        num_priors: int,
        output_map: Callable | None = None,
        level: int = 0,
    ) -> nn.Module:
        """Anchor function generator in the place of a stock convolution.

        Args:
            conv (nn.Conv2d): The last layer of a stock head.
            num_priors (int): Priors per cell that its outputs are for.
            output_map (Callable, optional): Of the generator; where the
                outputs are boxes, ``self.box_map``.
            level (int): Index of the level, where every level has its own.

        Raises:
            ValueError: It is not a plain one: a square kernel, with a bias,
                that keeps the size of the map.
        """
        size = conv.kernel_size[0]
        plain = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            size,
            padding=size // 2,
            device='meta',
        )
        if repr(conv) != repr(plain) or conv.out_channels % num_priors:
            raise ValueError(
                f'only {plain}, with as many outputs for each of {num_priors} '
                f'priors, can be generated, got {conv}'
            )
        if output_map is not None:
            output_map = partial(output_map, level=level)
        return MODELS.build(
            self.anchor_function,
            default_args=dict(
                type='AnchorFunctionGenerator',
                in_channels=conv.in_channels,
                out_channels=conv.out_channels // num_priors,
                kernel_size=size,
                code_map=partial(self.trained_codes, level=level),
                output_map=output_map,
            ),
        )

    def box_map(self, codes: Tensor, level: int = 0) -> tuple[Tensor, Tensor]:
        """From what the functions predict of boxes to what the coder decodes.

        Args:
            codes (Tensor): (A, 2) codes of the priors, log-space.
            level (int): Index of the level, where every level has its own
                functions.

        Returns:
            tuple[Tensor, Tensor]: Scale and shift of the outputs, each (A,
            4), by ``box_function``.
        """
        trained = self.trained_codes(codes, level)
        return self._boxes(
            lambda: self._box_map(codes, trained),
            codes,
            trained,
            self.box_function,
            self.bbox_coder,
        )

    def _box_map(
        self, codes: Tensor, trained: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.box_function == 'published':
            ones = torch.ones(len(codes), 4)
            return ones, torch.zeros_like(ones)
        if getattr(self._box_units, 'coder', None) is not self.bbox_coder:
            self._box_units = BoxUnits(self.bbox_coder)
        scale, shift = self._box_units(codes)
        if self.box_function == 'scaled':
            _, shift = self._box_units(codes - trained)
        return scale, shift

    def trained_codes(self, codes: Tensor, level: int = 0) -> Tensor:
        """Codes, (A, 2), or the nearest ones that were trained at a level."""
        if self.training or self.box_function == 'published':
            return codes
        trained = self.shape_range
        return self._trained(
            lambda: nearest(codes, range_of_level(trained, level).to(codes)),
            codes,
            level,
            watched=[trained],
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
    def branches(self) -> tuple[Branch, ...]:
        """Anchor functions of each branch, in the order of :meth:`towers`.

        Returns:
            tuple: For each branch the generator that its levels share, or
            one for each level.
        """

    def prepare(self, towers: Towers, numbers: Sequence[int]) -> Towers:
        """Do once what is the same for all priors, if that is the cheaper way.

        Args:
            towers (tuple[list[Tensor], ...]): As :meth:`towers` gives them.
            numbers (Sequence[int]): How many priors of each level
                :meth:`last_layers` is to be called with, all calls together.

        Returns:
            tuple[list, ...]: What :meth:`last_layers` takes for them.
        """
        return self._every_branch('prepare', towers, numbers)

    def last_layers(self, towers: Towers, codes: Sequence[Tensor]) -> tuple:
        """Outputs of priors.

        Args:
            towers (tuple[list[Tensor], ...]): As :meth:`towers` gives them,
                or :meth:`prepare` of that.
            codes (Sequence[Tensor]): (A, 2) codes of the priors, log-space,
                one tensor per level.

        Returns:
            tuple[list[Tensor], ...]: What the stock head's ``forward``
            returns for these priors.
        """
        return self._every_branch('__call__', towers, codes)

    def _every_branch(
        self, method: str, towers: Towers, priors: Sequence
    ) -> tuple[list, ...]:
        """Call a method of the generators of every branch, level by level."""
        outputs = []
        for functions, tower in zip(self.branches(), towers, strict=True):
            if isinstance(functions, AnchorFunctionGenerator):
                outputs.append(getattr(functions, method)(tower, priors))
                continue
            outputs.append(
                [
                    getattr(one, method)([level], [prior])[0]
                    for one, level, prior in zip(
                        functions, tower, priors, strict=True
                    )
                ]
            )
        return tuple(outputs)

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

        Raises:
            ValueError: The features are of another number of levels.
        """
        if codes is None:
            codes = self.prior_generator.codes()
        if len(x) != len(codes):
            raise ValueError(
                f'got features of {len(x)} levels and priors of {len(codes)}; '
                'the prior generator must have one stride for every level of '
                'the neck'
            )
        return self.last_layers(self.towers(x), codes)

    def loss(self, *args, **kwargs) -> dict:
        """Losses of the stock head under one draw of the jitter."""
        with self._jitter():
            return super().loss(*args, **kwargs)

    def loss_and_predict(self, *args, **kwargs) -> tuple:
        """Losses and boxes of the stock head under one draw."""
        with self._jitter():
            return super().loss_and_predict(*args, **kwargs)

    def predict(self, *args, **kwargs) -> list:
        """Boxes of the stock head, all of the priors that it starts with.

        Another thread may change the anchors in the meantime.
        """
        # A shallow copy: the same parameters, and the priors of now.
        return super(MetaHeadMixin, copy.copy(self)).predict(*args, **kwargs)

    def _jitter(self) -> AbstractContextManager:
        if not self.training:
            return nullcontext()
        self._note_shapes()
        return self.prior_generator.jittered(_progress())

    def _note_shapes(self) -> None:
        """Widen the range of trained shapes to the present priors."""
        now = self.range_of_priors().to(self.shape_range)
        # In place, for wrappers that hold the buffer.
        self.shape_range.copy_(self.shape_range.fmax(now))

    def range_of_priors(self, jitter: bool = True) -> Tensor:
        """That of the present priors, as :attr:`shape_range` holds it."""
        levels = self.prior_generator.shape_range(jitter)
        return levels.amax(0, keepdim=True) if self.ONE_UNIT else levels

    def warn_of_untrained(self) -> None:
        """Log a warning if the present priors are not of trained shapes."""
        guessed = self.box_function == 'published'
        warn_of_untrained(self.prior_generator, self.shape_range, guessed)

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
        # Stock heads keep a copy, of one level or of all.
        numbers = priors.num_base_priors
        several = isinstance(self.num_base_priors, list)
        # At once, for threads that predict: see predict().
        vars(self).update(
            prior_generator=priors,
            num_base_priors=numbers if several else numbers[0],
        )


def _progress() -> float:
    """Share of MMEngine's training that is over; 0 without its runner."""
    hub = MessageHub.get_current_instance()
    number, last = (hub.get_info(key) for key in ('iter', 'max_iters'))
    return number / last if number and last else 0.0
