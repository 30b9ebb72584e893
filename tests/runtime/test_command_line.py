import errno

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmdet_metaanchor.runtime.command_line import (
    one_line_errors,
    skip_non_finite_steps,
    use_amp,
)


def test_amp_is_turned_on_where_there_is_an_accelerator(monkeypatch):
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.command_line.get_device', lambda: 'cuda'
    )
    # What FiniteOptimWrapper alone takes.
    wrapper = dict(type='FiniteOptimWrapper', non_finite='stop')
    cfg = Config(dict(optim_wrapper=wrapper))
    use_amp(cfg)
    assert 'non_finite' not in cfg.optim_wrapper
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_needs_an_accelerator(monkeypatch):
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.command_line.get_device', lambda: 'cpu'
    )
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    with pytest.raises(ValueError, match='"cpu"'):
        use_amp(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_errors_of_the_user_are_one_line_and_bugs_are_not():
    with pytest.raises(SystemExit, match='anchors are bad'), one_line_errors():
        raise ValueError('anchors are bad')
    with pytest.raises(SystemExit, match='is a dir'), one_line_errors():
        raise IsADirectoryError(errno.EISDIR, 'is a dir', 'anchors.json')
    message = 'error: MetaRetinaHed is not in the .*registry'
    with pytest.raises(SystemExit, match=message), one_line_errors():
        MODELS.build(dict(type='MetaRetinaHed'))
    with pytest.raises(KeyError), one_line_errors():
        dict()['no type of a config']
    with pytest.raises(ZeroDivisionError), one_line_errors():
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    ('written', 'kind'),
    [
        (dict(), 'FiniteOptimWrapper'),
        (dict(type='OptimWrapper'), 'FiniteOptimWrapper'),
        (dict(type='mmengine.OptimWrapper'), 'FiniteOptimWrapper'),
        (dict(type=OptimWrapper), 'FiniteOptimWrapper'),
        # They leave such steps out by themselves, or are a choice.
        (dict(type='AmpOptimWrapper'), 'AmpOptimWrapper'),
        (dict(type='ApexOptimWrapper'), 'ApexOptimWrapper'),
    ],
)
def test_steps_that_are_not_finite_are_left_out_by_default(written, kind):
    cfg = Config(dict(optim_wrapper=written))
    skip_non_finite_steps(cfg)
    assert cfg.optim_wrapper.type == kind
