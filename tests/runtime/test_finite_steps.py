"""A step that is not finite is left out or ends the training, by choice."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmdet_metaanchor.runtime.finite_steps import MOST_IN_A_ROW


@pytest.fixture
def warnings(monkeypatch):
    told = []
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.finite_steps.print_log',
        lambda message, **_: told.append(message),
    )
    return told


def build(**kwargs):
    weight = nn.Parameter(torch.ones(2))
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='FiniteOptimWrapper',
            # Momentum, in which a bad step would live on.
            optimizer=torch.optim.SGD([weight], lr=0.1, momentum=0.9),
            **kwargs,
        )
    )
    return weight, wrapper


def train(factors, **kwargs):
    """Weights after steps by gradients that are these factors."""
    weight, wrapper = build(**kwargs)
    for factor in factors:
        wrapper.update_params((weight * factor).sum())
    return weight.detach()


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=1.0)])
def test_the_others_go_on_as_if_it_had_not_been(bad, clip_grad, warnings):
    wanted = train([1.0, 2.0, 3.0], clip_grad=clip_grad)
    got = train([1.0, bad, 2.0, bad, 3.0], clip_grad=clip_grad)
    assert torch.equal(got, wanted)
    assert [message[-9:] for message in warnings] == ['1 so far.', '2 so far.']


def test_without_it_all_is_lost():
    """What MMEngine's own wrapper does, and why this one is there."""
    weight = nn.Parameter(torch.ones(2))
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='OptimWrapper', optimizer=torch.optim.SGD([weight], lr=0.1))
    )
    for factor in (float('nan'), 1.0):
        wrapper.update_params((weight * factor).sum())
    assert weight.isnan().all()


def test_stop_at_the_first():
    with pytest.raises(FloatingPointError, match='not finite, the step 1 in'):
        train([1.0, float('nan')], non_finite='stop')


def test_many_in_a_row_are_no_matter_of_a_batch(warnings):
    bad = [float('nan')] * (MOST_IN_A_ROW - 1)
    train([*bad, 1.0, *bad])
    with pytest.raises(FloatingPointError, match='step 10 in a row'):
        train([*bad, float('nan')])


def test_accumulated_gradients_are_looked_at_together(warnings):
    """Two batches a step: one that is bad takes the other along."""
    assert torch.equal(
        train([1.0, float('nan'), 2.0, 2.0], accumulative_counts=2),
        train([2.0, 2.0], accumulative_counts=2),
    )


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="'skip' or 'stop', got 'ignore'"):
        build(non_finite='ignore')
