"""Customising the anchors of a built model."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import Registry
from torch import nn

from ..method.meta_head import MetaHeadMixin
from ..method.prior_generator import MetaAnchorGenerator
from ..method.shapes import Shapes

Anchors = Mapping | Shapes


def customize_anchors(model: nn.Module, anchors: Anchors) -> None:
    """Make a trained MetaAnchor model predict with other anchors.

    Nothing is retrained: the weights of the new anchors' functions are
    generated from their shapes. The standard box stays the one that the
    model was trained with. A warning names the farthest anchor of a size or
    ratio beyond those of the training, where there is one, see
    :class:`MetaHeadMixin`.

    Args:
        model (nn.Module): A detector with a MetaAnchor head, or the head, or
            a wrapper of either. All heads of a detector get the anchors;
            give a head for it alone.
        anchors (dict | list[list[tuple[float, float]]]): Either the config
            of an anchor generator, whose ``type`` and ``strides`` default to
            ``MetaAnchorGenerator`` and to the strides of the model, or
            explicit sizes in px, ``(w, h)``, one list per level, in the
            order of the model's strides. The centres stay those of the
            model, unless the config gives ``centers`` or ``center_offset``,
            or its source of anchors (``priors``, or a ``type`` other than
            ``MetaAnchorGenerator`` and ``AnchorGenerator``) places them by a
            rule of its own; a warning tells when they move.

    Raises:
        TypeError: The model has no MetaAnchor head (a stock one, say), or
            ``anchors`` is neither a dict nor a list.
        ValueError: Bad sizes, or levels that do not match the model's.
    """
    changes = [
        (head, build_anchors(anchors, head.prior_generator))
        for head in find_heads(model)
    ]
    # All are checked before any is changed.
    for head, generator in changes:
        head.check_prior_generator(generator)
    for head, generator in changes:
        head.set_prior_generator(generator)
        head.warn_of_untrained()


def find_heads(model: nn.Module) -> list[MetaHeadMixin]:
    """The MetaAnchor heads of a model, or of a wrapper of one.

    Raises:
        TypeError: It has none, being a stock one, say.
    """
    heads = [m for m in model.modules() if isinstance(m, MetaHeadMixin)]
    if not heads:
        raise TypeError(
            f'{type(model).__name__} has no MetaAnchor head, so its anchors '
            'cannot be customised; train it with a MetaAnchor head, '
            'MetaRetinaHead or another'
        )
    return heads


def find_head(model: nn.Module) -> MetaHeadMixin:
    """The MetaAnchor head of a model that has one.

    Raises:
        TypeError: It has none, or several.
    """
    head, *others = find_heads(model)
    if others:
        raise TypeError(
            f'{type(model).__name__} has {1 + len(others)} MetaAnchor heads, '
            'and only a model with one can be used here'
        )
    return head


def find_anchor_head(model: nn.Module) -> nn.Module | None:
    """The first part of a model that has anchors, stock or ours, if any."""
    for part in model.modules():
        if isinstance(getattr(part, 'prior_generator', None), AnchorGenerator):
            return part
    return None


@contextmanager
def restored_anchors(model: nn.Module) -> Iterator[None]:
    """Give a model the anchors that it has now back at the end.

    Args:
        model (nn.Module): As for :func:`customize_anchors`, which may be
            called inside the ``with`` block.

    Raises:
        TypeError: The model has no MetaAnchor head.
    """
    before = [(head, head.prior_generator) for head in find_heads(model)]
    try:
        yield
    finally:
        for head, generator in before:
            head.set_prior_generator(generator)


def build_anchors(
    anchors: Anchors, trained: MetaAnchorGenerator
) -> MetaAnchorGenerator:
    """Generator of anchors; what they do not say comes from another one.

    Args:
        anchors (dict | list[list[tuple[float, float]]]): As for
            :func:`customize_anchors`.
        trained (MetaAnchorGenerator): Strides, centres, jitter, anneal.

    Returns:
        MetaAnchorGenerator: A new one.

    Raises:
        TypeError: ``anchors`` is neither a dict nor a list, or the class that
            it names takes no such arguments.
        ValueError: Bad sizes, levels that do not match, or anything else
            that no generator can be built of.
    """
    centers = [tuple(c[0].tolist()) for c in trained.base_centers]
    if isinstance(anchors, Mapping):
        cfg = {
            'type': 'MetaAnchorGenerator',
            'strides': trained.strides,
            **anchors,
        }
        # Another number of levels is for set_prior_generator to refuse.
        if (
            _class_of(cfg['type'], TASK_UTILS)
            in (MetaAnchorGenerator, AnchorGenerator)
            and not cfg.keys() & {'priors', 'centers', 'center_offset'}
            and len(cfg['strides']) == len(centers)
        ):
            cfg['centers'] = centers
        if not _is_ours(cfg):
            cfg = dict(type='MetaAnchorGenerator', priors=cfg)
    elif isinstance(anchors, Sequence) and not isinstance(anchors, str):
        cfg = dict(
            type='MetaAnchorGenerator',
            strides=trained.strides,
            shapes=anchors,
            centers=centers,
        )
    else:
        raise TypeError(
            'anchors must be a config dict or [[(w, h), ...], ...] in px, '
            f'got {anchors!r}'
        )
    for setting in ('jitter', 'anneal'):
        cfg.setdefault(setting, getattr(trained, setting))
    try:
        generator = TASK_UTILS.build(cfg)
    except (TypeError, ValueError):
        raise
    except Exception as error:
        # MMDetection's classes check little, each by an error of its own.
        raise ValueError(
            f'anchors {anchors!r} are none: {type(error).__name__}: '
            f'{" ".join(str(error).split())}'
        ) from error
    _warn_of_moved_centers(generator, trained)
    return generator


def list_shapes(generator: MetaAnchorGenerator) -> list[list[tuple]]:
    """The sizes (w, h) in px of all anchors, one list per level."""
    return [
        [tuple(size) for size in level.tolist()]
        for level in generator.base_shapes
    ]


def read_generator(cfg: Config) -> MetaAnchorGenerator:
    """The anchors that the config of a detector trains with, stock or ours.

    Raises:
        ValueError: The config has no ``anchor_generator`` in
            ``model.bbox_head`` or ``model.rpn_head``.
    """
    model = cfg.get('model', {})
    for name in ('bbox_head', 'rpn_head'):
        priors = model.get(name, {}).get('anchor_generator')
        if priors is not None:
            break
    else:
        raise ValueError(
            f'{cfg.filename} has no model.bbox_head.anchor_generator, and no '
            'model.rpn_head.anchor_generator'
        )
    if not _is_ours(priors):
        # Stock trains with its anchors as they are.
        priors = dict(type='MetaAnchorGenerator', priors=priors, jitter=0.0)
    generator = TASK_UTILS.build(priors)
    head = _class_of(model[name].get('type'), MODELS)
    # As the head does it, which is not built for this.
    if not getattr(head, 'ONE_UNIT', True):
        generator.use_box_per_level()
    return generator


def _class_of(kind: str | type | None, registry: Registry) -> type | None:
    """The class that a ``type`` names, or is, as in Python style."""
    if not isinstance(kind, str):
        return kind
    try:
        return registry.get(kind)
    except RuntimeError:  # MMEngine's, of what cannot be a name
        return None


def _is_ours(cfg: Mapping) -> bool:
    kind = _class_of(cfg['type'], TASK_UTILS)
    return isinstance(kind, type) and issubclass(kind, MetaAnchorGenerator)


def _warn_of_moved_centers(
    generator: MetaAnchorGenerator, trained: MetaAnchorGenerator
) -> None:
    """The code holds no position: a model cannot know of a moved centre."""
    for new, old in zip(
        generator.base_centers, trained.base_centers, strict=False
    ):
        if not torch.allclose(new, old[:1], atol=0.5):
            print_log(
                'The anchors are centred at (x, y) = '
                f'{tuple(new[0].tolist())} px of a cell, those of the model '
                f'at {tuple(old[0].tolist())}; its boxes will be off by the '
                'difference.',
                logger='current',
                level=logging.WARNING,
            )
            return
