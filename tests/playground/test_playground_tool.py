"""The tool starts with what fits, or says in one line what does not."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_models import build_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/custom/meta-retinanet_r18-w32_custom.py'


@pytest.fixture
def words(tiny_data, tmp_path, monkeypatch):
    """A config, a checkpoint and an image that fit."""
    monkeypatch.setenv('DATA_ROOT', str(tiny_data))
    model = build_model(Config.fromfile(CONFIG))
    torch.save(model.state_dict(), tmp_path / 'model.pth')
    torch.save({'other.weight': torch.ones(1)}, tmp_path / 'other.pth')
    (tmp_path / 'no.png').write_text('no image')
    monkeypatch.chdir(tmp_path)
    return [CONFIG, 'model.pth', tiny_data / 'images' / '0.png']


def test_without_gradio(fail, words, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    name = 'mmdet_metaanchor.playground.server'
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert 'pip install "gradio>=6"' in fail('playground.py', *words)


@pytest.mark.parametrize(
    ('place', 'word', 'message'),
    [
        (1, 'other.pth', 'does not fit'),
        (1, 'gone.pth', 'gone.pth does not exist'),
        (2, 'no.png', 'no.png is not an image'),
        (2, 'gone.png', 'gone.png does not exist'),
    ],
)
def test_bad_start(fail, words, place, word, message):
    pytest.importorskip('gradio', reason='the playground needs gradio')
    words[place] = word
    assert message in fail('playground.py', *words)


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['playground.py', '--help'])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(
            str(ROOT / 'tools' / 'playground.py'), run_name='__main__'
        )
    assert end.value.code == 0
    assert '127.0.0.1' in capsys.readouterr().out
