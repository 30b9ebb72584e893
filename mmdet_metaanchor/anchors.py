"""Customising the anchors of a built model."""

import ast
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmdet.registry import TASK_UTILS
from mmengine.logging import print_log
from torch import nn

from .prior_generator import MetaAnchorGenerator, Shapes

Anchors = Mapping | Shapes


def customize_anchors(model: nn.Module, anchors: Anchors) -> None:
    """Make a trained MetaAnchor model predict with other anchors.

    Nothing is retrained: the weights of the new anchors' functions are
    generated from their shapes. The standard box stays the one that the
    model was trained with.

    Args:
        model (nn.Module): A detector with a MetaAnchor head, or the head, or
            a wrapper of either.
        anchors (dict | list[list[tuple[float, float]]]): Either the config
            of an anchor generator, whose ``type`` and ``strides`` default to
            ``MetaAnchorGenerator`` and to the strides of the model, or
            explicit sizes in px, ``(w, h)``, one list a level, lowest level
            first, which keep the centres that the model was trained with.

    Raises:
        TypeError: The model has no MetaAnchor head (a stock one, say), or
            ``anchors`` is neither a dict nor a list.
        ValueError: Bad sizes, or levels that do not match the model's.
    """
    heads = [m for m in model.modules() if hasattr(m, 'set_prior_generator')]
    if not heads:
        raise TypeError(
            f'{type(model).__name__} has no MetaAnchor head, so its anchors '
            'cannot be customised; train it with MetaRetinaHead'
        )
    for head in heads:
        head.set_prior_generator(_build(anchors, head.prior_generator))


def _build(
    anchors: Anchors, trained: MetaAnchorGenerator
) -> MetaAnchorGenerator:
    """Generator of ``anchors``; what is not said comes from ``trained``."""
    if isinstance(anchors, Mapping):
        cfg = {
            'type': 'MetaAnchorGenerator',
            'strides': trained.strides,
            **anchors,
        }
        if cfg['type'] != 'MetaAnchorGenerator':
            cfg = dict(type='MetaAnchorGenerator', priors=cfg)
    elif isinstance(anchors, Sequence) and not isinstance(anchors, str):
        cfg = dict(
            type='MetaAnchorGenerator',
            strides=trained.strides,
            shapes=anchors,
            centers=[tuple(c[0].tolist()) for c in trained.base_centers],
        )
    else:
        raise TypeError(
            'anchors must be a config dict or [[(w, h), ...], ...] in px, '
            f'got {anchors!r}'
        )
    cfg.setdefault('jitter', trained.jitter)
    generator = TASK_UTILS.build(cfg)
    _warn_of_moved_centers(generator, trained)
    return generator


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


def parse_anchors(text: str) -> Anchors:
    """Read anchors for :func:`customize_anchors` from a command line.

    Args:
        text (str): A literal, e.g. ``[[(32, 32)], [(64, 64)]]`` or
            ``{'scales': [4], 'ratios': [0.5, 1, 2]}``, or the name of a
            JSON file that holds one.

    Raises:
        FileNotFoundError: ``text`` names a JSON file that is not there.
        ValueError: It is neither a literal nor the name of a JSON file.
    """
    if text.endswith('.json'):
        try:
            return json.loads(Path(text).read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f'{text} is not JSON: {error}') from None
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        raise ValueError(
            'anchors must be a literal such as [[(32, 32)], [(64, 64)]] or '
            "{'scales': [4], 'ratios': [1.0]}, or a .json file, got "
            f'{text!r}'
        ) from None
