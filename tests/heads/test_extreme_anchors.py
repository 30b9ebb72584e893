"""Anchors that no one means are refused by value; the others work."""

import itertools
import math

import pytest
import torch
from families import build, by_prior, every_head, features

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.anchors.customize import list_shapes


@every_head
@pytest.mark.parametrize(
    ('size', 'said'),
    [
        ((0.0, 5.0), r'0\.0'),
        ((5.0, -3.0), r'-3\.0'),
        ((math.nan, 5.0), 'nan'),
        ((5.0, math.inf), 'inf'),
    ],
)
def test_what_is_no_size_is_refused_and_nothing_changes(name, size, said):
    head = build(name)
    before = list_shapes(head.prior_generator)
    shapes = [list(level) for level in before]
    shapes[1][0] = size
    with pytest.raises(ValueError, match=said):
        customize_anchors(head, shapes)
    assert list_shapes(head.prior_generator) == before


@every_head
def test_a_level_without_anchors_is_refused(name):
    head = build(name)
    shapes = [list(level) for level in list_shapes(head.prior_generator)]
    shapes[2] = []
    with pytest.raises(ValueError, match='level 2'):
        customize_anchors(head, shapes)


@every_head
@pytest.mark.parametrize('box_function', ['scaled', 'absolute', 'published'])
@pytest.mark.parametrize(
    'odd', list(itertools.product([1e-6, 1.0, 1e6], repeat=2))
)
def test_any_size_gives_finite_outputs(name, odd, box_function):
    """Alone in its level, and a neighbour's outputs stay what they were."""
    head = build(name, box_function=box_function)
    shapes = [level[:1] for level in list_shapes(head.prior_generator)]
    feats = features(name)
    customize_anchors(head, shapes)
    alone = by_prior(head, feats)
    customize_anchors(head, [[*level, odd] for level in shapes])
    for kind, before in zip(by_prior(head, feats), alone, strict=True):
        for level, others in zip(kind, before, strict=True):
            assert level.isfinite().all()
            torch.testing.assert_close(level[:, :1], others, rtol=0, atol=1e-4)


@every_head
@torch.no_grad()
def test_500_anchors_of_a_cell(name):
    """They are what they are alone, and need no weights of 500 priors."""
    head = build(name, rank=8)
    side = torch.linspace(8, 80, 500).tolist()
    shapes = [
        [(s * stride[0] / 16, s * stride[0] / 24) for s in side]
        for stride in head.prior_generator.strides
    ]
    feats = features(name, images=1)
    customize_anchors(head, shapes)
    together = by_prior(head, feats)
    customize_anchors(head, [level[499:] for level in shapes])
    for kind, alone in zip(together, by_prior(head, feats), strict=True):
        for level, last in zip(kind, alone, strict=True):
            assert level.shape[1] == 500
            torch.testing.assert_close(level[:, 499:], last, rtol=0, atol=1e-4)
