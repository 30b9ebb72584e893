"""MetaAnchorGenerator: shapes of the priors, their codes and their jitter."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from ..runtime.arguments import known_arguments
from .memo import Memo
from .shape_range import reach
from .shapes import (
    Shapes,
    check_jitter,
    check_numbers,
    check_shapes,
    check_size,
    check_standard_boxes,
    height_and_width,
    on_cpu,
    size_and_ratio,
    without_rounding,
)


@TASK_UTILS.register_module()
@known_arguments
class MetaAnchorGenerator(AnchorGenerator):
    r"""Priors of any source, and the codes that describe their shapes.

    A prior of height ``h`` and width ``w`` on a level whose standard box is
    ``(AH, AW)`` has the code (Eq. 7 of `MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_)

    .. math:: b = (\log(h / AH), \log(w / AW)).

    The standard box grows with the stride, so the same code means the same
    shape, relative to the stride, at every level. It is the unit that the
    weights of a model are trained in: :class:`MetaHeadMixin` stores it in
    the checkpoint, in strides, and restores it on loading, whatever the
    priors and the strides are.

    The sizes come from one of three sources; ``priors`` and ``shapes``, where
    given, replace what the stock arguments say, so that a config can inherit
    from a stock one and add a line:

    - the arguments of :class:`AnchorGenerator`, unchanged;
    - ``priors``, the config of any other registered anchor generator;
    - ``shapes``, explicit sizes.

    Args:
        strides (list[int] | list[tuple[int, int]]): Strides of the levels in
            px, ``(w, h)`` where they are pairs. Not needed with ``priors``.
        *args: Positional arguments of :class:`AnchorGenerator`.
        priors (dict, optional): Config of a registered generator that
            derives from :class:`AnchorGenerator`, e.g.
            ``dict(type='SSDAnchorGenerator', ...)``. Its levels may hold
            different numbers of priors.
        shapes (list[list[tuple[float, float]]], optional): Sizes in px,
            ``(w, h)``, one list per level, in the order of ``strides``.
        standard_box (Sequence, optional): ``(AH, AW)`` in px at the level of
            the smallest stride, or one such pair per level. Defaults to the
            mean height and width of the priors of the smallest stride.
        jitter (float | tuple[float, float]): How far every prior moves in
            training, see :meth:`jittered`. A pair: log size and log ratio of
            the sides move by uniform draws within +- the one and the other.
            A number, as published: log height and log width do so. Defaults
            to 0, none: it shows shapes beyond those of the priors, and costs
            accuracy where training is short (docs/training.md).
        anneal (float): Share of a training, at its end, over which the jitter
            falls to 0 in a straight line, so that it ends with the priors as
            they are. 0 keeps it to the end, as published. Defaults to 1/3.
        **kwargs: Other arguments of :class:`AnchorGenerator`.

    Raises:
        ValueError: A size, ratio, scale, ``standard_box`` or ``jitter`` that
            is not finite and positive (``jitter`` may be 0), an ``anneal``
            outside of 0 to 1, a level without priors, ``shapes`` or
            ``standard_box`` for another number of levels than ``strides``,
            or both ``priors`` and ``shapes``.
        TypeError: ``priors`` builds something else than an anchor generator.
    """

    def __init__(
        self,
        strides: Sequence | None = None,
        *args,
        priors: dict | None = None,
        shapes: Shapes | None = None,
        standard_box: tuple[float, float] | None = None,
        jitter: float | tuple[float, float] = 0.0,
        anneal: float = 1 / 3,
        **kwargs,
    ) -> None:
        if priors is not None and shapes is not None:
            raise ValueError(
                f'give `priors` or `shapes`, not both: got priors={priors} '
                f'and shapes={shapes}'
            )
        self._codes, self._reaches = Memo(1), Memo(1)
        if priors is None and strides is None:
            raise ValueError('strides, in px, are needed without `priors`')
        #: The generator that the sizes come from, and its config, or None.
        self.source = None if priors is None else _build_source(priors)
        self.source_cfg = priors
        if self.source is not None:
            super().__init__(
                self.source.strides,
                ratios=[1.0],
                scales=[1.0],
                use_box_type=self.source.use_box_type,
            )
            self.base_anchors = list(self.source.base_anchors)
        elif shapes is not None:
            placing = ('centers', 'center_offset', 'use_box_type')
            kwargs = {k: kwargs[k] for k in placing if k in kwargs}
            super().__init__(strides, ratios=[1.0], scales=[1.0], **kwargs)
            self.base_anchors = _boxes(
                self.base_centers, check_shapes(shapes, strides)
            )
        else:
            super().__init__(strides, *args, **kwargs)
        self._check_sizes()
        self._check_grid()

        check_jitter(jitter)
        if not 0 <= anneal <= 1:
            raise ValueError(
                f'anneal must be a share of the training, 0 to 1, got {anneal}'
            )
        self.jitter, self.anneal = jitter, anneal
        self._told = standard_box is not None
        if not self._told:
            lowest = self.strides.index(min(self.strides))
            standard_box = self._mean_boxes()[lowest]
        self.standard_box = standard_box

    @property
    def standard_box(self) -> tuple:
        """tuple: (AH, AW) in px at the smallest stride, or one per level."""
        boxes = self.standard_boxes * self._box_strides(self.standard_boxes)
        pairs = tuple(tuple(pair) for pair in boxes.tolist())
        return pairs[0] if len(pairs) == 1 else pairs

    @standard_box.setter
    def standard_box(self, box: Sequence) -> None:
        boxes = on_cpu(box)
        if boxes.ndim == 1:
            boxes = boxes[None]
        check_standard_boxes(boxes, self.num_levels, 'px')
        self.standard_boxes = boxes / self._box_strides(boxes)

    def use_box_per_level(self) -> None:
        """Take the mean prior of every level for its standard box.

        For heads whose levels share no convolutions. A standard box that was
        given stays.
        """
        if not self._told:
            self.standard_box = self._mean_boxes()

    def _mean_boxes(self) -> list[list[float]]:
        """[AH, AW] in px, the mean of the priors of every level."""
        return [s.mean(0).flip(0).tolist() for s in self.base_shapes]

    @property
    def standard_boxes(self) -> Tensor:
        """Tensor: (1, 2), or (levels, 2), (AH, AW) in strides.

        In strides they hold at every level, and for a model that is loaded
        onto other strides.
        """
        return self._standard_boxes

    @standard_boxes.setter
    def standard_boxes(self, boxes: Tensor) -> None:
        # Kept in the precision of a checkpoint: codes are the same to the
        # last bit before saving and after loading.
        boxes = on_cpu(boxes).clone()
        check_standard_boxes(boxes, self.num_levels, 'strides')
        self._standard_boxes = boxes

    def _box_strides(self, boxes: Tensor) -> Tensor:
        """(h, w) strides in px that standard boxes are multiples of."""
        strides = [min(self.strides)] if len(boxes) == 1 else self.strides
        return on_cpu(strides).flip(1)

    @property
    def units(self) -> Tensor:
        """Tensor: (levels, 2) standard boxes (AH, AW) in px of every level."""
        strides = on_cpu(self.strides).flip(1)
        return self.standard_boxes * strides

    @property
    def base_shapes(self) -> list[Tensor]:
        """list[Tensor]: (A, 2) sizes (w, h) in px, one tensor per level."""
        return [base[:, 2:] - base[:, :2] for base in self.base_anchors]

    @property
    def base_centers(self) -> list[Tensor]:
        """list[Tensor]: (A, 2) centres (x, y) in px within the first cell."""
        return [(base[:, 2:] + base[:, :2]) / 2 for base in self.base_anchors]

    def codes(self) -> list[Tensor]:
        """Codes of the priors as they are now (jittered or not).

        Returns:
            list[Tensor]: One (A, 2) float tensor per level, on the CPU:
            ``(log(h / AH), log(w / AW))`` in log-space. Equal shapes,
            relative to the stride, have codes equal to the last bit. They
            are the same objects as long as the priors are.
        """

        def compute() -> list[Tensor]:
            return without_rounding(self.codes_of(self.base_shapes))

        return list(
            self._codes(
                compute, watched=[*self.base_anchors, self.standard_boxes]
            )
        )

    def codes_of(self, shapes: Sequence[Tensor]) -> list[Tensor]:
        """Codes of any sizes, up to rounding.

        Args:
            shapes (Sequence[Tensor]): (A, 2) sizes (w, h) in px, one tensor
                per level.

        Returns:
            list[Tensor]: (A, 2) codes, log-space, one tensor per level.
        """
        pairs = zip(shapes, self.units, strict=True)
        ratios = [level.flip(1) / unit for level, unit in pairs]
        # Of sides 1e38 times as long as the standard box's, or as short.
        single = torch.finfo(torch.float32)
        return [part.clamp(single.tiny, single.max).log() for part in ratios]

    def with_shapes(self, shapes: Sequence[Tensor]) -> 'MetaAnchorGenerator':
        """A copy of this generator with other sizes. They are not checked.

        Args:
            shapes (Sequence[Tensor]): As for :meth:`codes_of`. All are
                centred where the first prior of their level is.
        """
        priors = copy.copy(self)
        centers = [center[:1] for center in self.base_centers]
        priors.base_anchors = _boxes(centers, shapes)
        return priors

    def shape_range(self, jitter: bool = True) -> Tensor:
        """The shapes that training sees.

        Args:
            jitter (bool): Whether they are those that the jitter reaches, or
                the priors as they are. Defaults to True.

        Returns:
            Tensor: (levels, 64), how far they reach, see
            :mod:`.shape_range`.
        """
        codes = self.codes()
        reaches = self._reaches(
            lambda: torch.stack([reach(size_and_ratio(c)) for c in codes]),
            *codes,
        )
        moves = self.jitter
        if not (jitter and self._jitters()):
            return reaches
        if isinstance(moves, Sequence):
            size, ratio = moves
            moved = on_cpu([[size, ratio], [size, -ratio]])
        else:  # of log height and log width
            moved = size_and_ratio(on_cpu([[moves, moves], [moves, -moves]]))
        return reaches + reach(torch.cat([moved, -moved]))

    @contextmanager
    def jittered(self, progress: float = 0.0) -> Iterator[None]:
        """Move every prior at random for the length of a ``with`` block.

        Log size and log ratio, or log height and log width, move by
        independent uniform draws within +- ``jitter``; the centres stay.
        Everything asked of the generator
        inside the block (codes, grids of priors) sees the same draw. Priors
        of equal code on different levels share it, because they are one
        prior to the anchor function. Draws come from PyTorch's global CPU
        generator.

        Args:
            progress (float): Share of the training that is over, which
                decides whether the jitter is falling, see ``anneal``.
        """
        if not self._jitters():
            yield
            return
        strength = 1.0
        if self.anneal:
            strength = min(1.0, max(0.0, (1 - progress) / self.anneal))
        at_rest = self.base_anchors
        codes = self.codes()
        unique, index = torch.cat(codes).unique(dim=0, return_inverse=True)
        moves = (strength * self._draw(unique))[index]
        moves = moves.split([len(code) for code in codes])
        moved = [
            shapes * move.flip(-1).exp()
            for shapes, move in zip(self.base_shapes, moves, strict=True)
        ]
        self.base_anchors = _boxes(self.base_centers, moved)
        try:
            yield
        finally:
            self.base_anchors = at_rest

    def _jitters(self) -> bool:
        """Whether any prior moves in training."""
        if isinstance(self.jitter, Sequence):
            return any(self.jitter)
        return self.jitter > 0

    def _draw(self, codes: Tensor) -> Tensor:
        """Random moves of codes, of the same shape, in log-space."""
        draws = torch.empty_like(codes).uniform_(-1, 1)
        if isinstance(self.jitter, Sequence):
            return height_and_width(draws * draws.new_tensor(self.jitter))
        return draws * self.jitter

    def _check_grid(self) -> None:
        """Refuse a source that places its priors by a rule of its own.

        The inherited grid would silently miss it.
        """
        if self.source is None:
            return
        sizes = [(2, 3)] * self.num_levels
        grids = zip(
            self.grid_priors(sizes, device='cpu'),
            self.source.grid_priors(sizes, device='cpu'),
            strict=True,
        )
        for ours, theirs in grids:
            if not torch.equal(get_box_tensor(ours), get_box_tensor(theirs)):
                raise TypeError(
                    f'priors: {type(self.source).__name__} does not repeat '
                    'its base_anchors at every stride, so its grid cannot be '
                    'customised'
                )

    def _check_sizes(self) -> None:
        """Refuse sizes that no prior can have, naming the value."""
        settings = self.source or self
        for name in ('strides', 'ratios', 'scales', 'base_sizes'):
            check_numbers(name, getattr(settings, name, ()))
        for level, shapes in enumerate(self.base_shapes):
            if len(shapes) == 0:
                raise ValueError(
                    f'level {level} has no priors; every level needs at '
                    f'least one (got {self.num_base_priors})'
                )
            for w, h in shapes.tolist():
                check_size(w, h, level)

    def __repr__(self) -> str:
        """str: sizes of the priors, standard box and jitter."""
        shapes = [
            [(round(w, 2), round(h, 2)) for w, h in level.tolist()]
            for level in self.base_shapes
        ]
        return (
            f'{type(self).__name__}(strides={self.strides}, '
            f'shapes={shapes}, standard_box={self.standard_box}, '
            f'jitter={self.jitter})'
        )


def _build_source(priors: dict) -> AnchorGenerator:
    kind = priors.get('type') if isinstance(priors, Mapping) else None
    if isinstance(kind, str):
        kind = TASK_UTILS.get(kind)
    # Seen before it is built: MMEngine finds 'os.system', too.
    if kind is not None and not (
        isinstance(kind, type) and issubclass(kind, AnchorGenerator)
    ):
        raise TypeError(
            'priors must build an AnchorGenerator, got '
            f'{getattr(kind, "__name__", kind)}'
        )
    return TASK_UTILS.build(priors)


def _boxes(
    centers: Sequence[Tensor], shapes: Sequence[Tensor]
) -> list[Tensor]:
    """Boxes (x1, y1, x2, y2) of centres (x, y) and sizes (w, h), in px."""
    return [
        torch.cat([center - shape / 2, center + shape / 2], dim=1)
        for center, shape in zip(centers, shapes, strict=True)
    ]
