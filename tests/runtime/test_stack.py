import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS

from mmdet_metaanchor.runtime import stack


def refusal() -> str:
    """The message of check_stack, which must be one line and the last word."""
    with pytest.raises(ImportError) as caught:
        stack.check_stack()
    message = str(caught.value)
    assert '\n' not in message
    assert caught.value.__suppress_context__
    return message


def fake(monkeypatch, name: str, version: str) -> None:
    module = ModuleType(name)
    module.__version__ = version
    monkeypatch.setitem(sys.modules, name, module)


def fake_installed(monkeypatch, *names: str) -> None:
    found = [SimpleNamespace(metadata={'Name': name}) for name in names]
    monkeypatch.setattr(stack.metadata, 'distributions', lambda: found)


def test_the_stack_that_the_tests_run_on_fits():
    stack.check_stack()


@pytest.mark.parametrize('name', ['torch', 'mmengine', 'mmcv', 'mmdet'])
def test_missing_package_is_named_with_the_command(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    message = refusal()
    assert f'{name} is not installed' in message
    assert 'pip install' in message


@pytest.mark.parametrize(
    ('name', 'version', 'lowest'),
    [('mmcv', '1.7.2', '2.0'), ('mmdet', '2.28.2', '3.0')],
)
def test_old_package_is_named_with_both_versions(
    monkeypatch, name, version, lowest
):
    fake(monkeypatch, name, version)
    if name == 'mmcv':
        # Its age has to be told even though its ops would load.
        fake(monkeypatch, 'mmcv._ext', version)
    assert f'{name} {version} is older than {lowest}' in refusal()


def test_mmcv_without_ops_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
    assert 'mmcv-lite' in refusal()


def failing_import(monkeypatch, broken: str, error: Exception) -> None:
    real = stack.import_module

    def import_module(name):
        if name == broken:
            raise error
        return real(name)

    monkeypatch.setattr(stack, 'import_module', import_module)


def test_ops_of_another_torch_are_refused_with_the_cause(monkeypatch):
    error = ImportError('_ext.so: undefined symbol: _ZN2at\nmore')
    failing_import(monkeypatch, 'mmcv._ext', error)
    message = refusal()
    assert '--force-reinstall' in message
    assert 'undefined symbol: _ZN2at more' in message


def test_broken_package_is_refused_with_the_cause(monkeypatch):
    error = AssertionError('MMCV==2.2.0 is used but incompatible.')
    failing_import(monkeypatch, 'mmdet', error)
    assert (
        'mmdet is installed but does not import '
        '(AssertionError: MMCV==2.2.0 is used but incompatible.)'
    ) in refusal()


@pytest.mark.parametrize(
    ('installed', 'offered', 'kept_out'),
    [
        (['numpy'], 'onedl-mmdetection==', ' mmdet=='),
        (['onedl-mmengine'], 'onedl-mmdetection==', ' mmdet=='),
        (['mmengine'], ' mmdet==', 'onedl-'),
        (['mmcv-lite'], ' mmdet==', 'onedl-'),
    ],
)
def test_command_installs_one_distribution_and_never_over_the_other(
    monkeypatch, installed, offered, kept_out
):
    fake_installed(monkeypatch, *installed)
    monkeypatch.setitem(sys.modules, 'mmdet', None)
    message = refusal()
    assert offered in message
    assert kept_out not in message


def test_importing_the_package_checks_before_anything_else():
    code = "import sys; sys.modules['torch'] = None; import mmdet_metaanchor"
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        'ImportError: mmdet_metaanchor: torch is not installed'
    )


def test_get_config_finds_our_configs():
    config = get_config(
        'mmdet_metaanchor::meta_retinanet/'
        'meta-retinanet_r50_fpn_3x3_1x_coco.py'
    )
    assert config.model.bbox_head.type == 'MetaRetinaHead'


def test_a_config_that_inherits_from_ours_is_built(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = 'mmdet_metaanchor::_base_/small_retinanet.py'\n"
        'model = dict(bbox_head=dict(num_classes=3))\n'
    )
    config = Config.fromfile(path)
    # MMEngine marks what it inherits; the root registry has no RetinaNet.
    assert config.model['_scope_'] == 'mmdet_metaanchor'
    model = MODELS.build(config.model)
    assert type(model).__name__ == 'RetinaNet'
    assert model.bbox_head.num_classes == 3


def test_our_scope_finds_what_mmdet_and_mmengine_and_we_register():
    for name in ('RetinaHead', 'ImgDataPreprocessor', 'MetaRetinaHead'):
        with MODELS.switch_scope_and_registry('mmdet_metaanchor') as ours:
            assert ours.get(name).__name__ == name
