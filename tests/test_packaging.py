import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from setuptools import Distribution, Extension

from mmdet_metaanchor.runtime import stack
from mmdet_metaanchor.version import __version__
from tools.mmcv_ops_in_one import join_sources

ROOT = Path(__file__).parents[1]
FOLDERS = (
    'meta_retinanet',
    'meta_faster_rcnn',
    'meta_ssd',
    'meta_yolov3',
    'digits',
    'custom',
    'anchor_systems',
)
# What is in a checkout and not in the repository.
LOCAL = ('data', 'work_dirs', 'build', '__pycache__', '_build')


@pytest.fixture
def arguments(monkeypatch) -> dict:
    """What setup.py hands to setuptools."""
    captured = {}
    monkeypatch.setattr('setuptools.setup', captured.update)
    runpy.run_path(str(ROOT / 'setup.py'))
    return captured


def test_installing_us_alone_changes_no_package(arguments):
    assert arguments['install_requires'] == []


def test_version_is_that_of_the_package(arguments):
    assert arguments['version'] == __version__


@pytest.mark.parametrize('name', ['onedl', 'openmmlab'])
def test_extra_holds_the_stack_that_the_import_check_offers(arguments, name):
    offered = getattr(stack, f'_{name.upper()}')
    assert set(arguments['extras_require'][name]) == set(offered)


def test_mim_files_follow_the_checkout(arguments):
    mim = ROOT / 'mmdet_metaanchor' / '.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (mim / name).samefile(ROOT / name)


def test_wheel_holds_copies_that_resolve(tmp_path):
    clone = tmp_path / 'clone'
    shutil.copytree(
        ROOT,
        clone,
        ignore=lambda folder, names: {
            name for name in names if name.startswith('.') or name in LOCAL
        },
    )
    subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build'], cwd=clone, check=True
    )
    built = clone / 'build' / 'lib'
    packed = built / 'mmdet_metaanchor' / '.mim'
    for kind in (
        'configs/*/*.py',
        'configs/*/*.yml',
        'configs/*/*.md',
        'tools/*.*',
        'tools/*/*.py',
    ):
        wanted = {path.relative_to(ROOT) for path in ROOT.glob(kind)}
        assert {path.relative_to(packed) for path in packed.glob(kind)} == (
            wanted
        )
        assert wanted
    assert not any(path.is_symlink() for path in packed.rglob('*'))

    # In a process that sees the build, and imports no more than it must.
    (built / 'mmdet_metaanchor' / '__init__.py').write_text(
        'from .runtime.stack import register_config_package as register\n'
        'register()\n'
    )
    code = (
        'import mmdet_metaanchor, mmengine.hub\n'
        'name = "mmdet_metaanchor::_base_/small_retinanet.py"\n'
        'print(mmengine.hub.get_config(name).filename)\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(built)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == str(
        packed / 'configs' / '_base_' / 'small_retinanet.py'
    ), result.stderr


def test_model_index_lists_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert set(index['Import']) == {
        f'configs/{folder}/metafile.yml' for folder in FOLDERS
    }


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile_lists_every_config_of_its_folder(folder):
    metafile = ROOT / 'configs' / folder / 'metafile.yml'
    content = yaml.safe_load(metafile.read_text())
    listed = {model['Config'] for model in content['Models']}
    there = {
        str(path.relative_to(ROOT)) for path in metafile.parent.glob('*.py')
    }
    assert listed == there
    collections = {entry['Name'] for entry in content['Collections']}
    for model in content['Models']:
        assert model['Config'].endswith(f'/{model["Name"]}.py')
        assert model['In Collection'] in collections


def set_up(tmp_path, **environment) -> subprocess.CompletedProcess:
    """Run tools/setup_env.sh for a new environment under tmp_path."""
    # Were a check to let it pass, it would install nothing.
    torch = str(tmp_path / 'no-torch.whl')
    return subprocess.run(
        ['bash', ROOT / 'tools' / 'setup_env.sh', 'onedl', tmp_path / 'venv'],
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'TORCH': torch,
            **environment,
        },
        capture_output=True,
        text=True,
    )


def executable(path: Path, script: str) -> Path:
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return path


def assert_refused(result, tmp_path, *words: str) -> None:
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr
    assert not (tmp_path / 'venv').exists()


def test_set_up_refuses_a_python_that_does_not_fit(tmp_path):
    # Runs the check with the version of a Python that is too new.
    python = executable(
        tmp_path / 'python3.13',
        f'exec {sys.executable} -c "import sys; sys.version_info = (3, 13, 0)'
        '\n$2"',
    )
    result = set_up(tmp_path, PYTHON=str(python))
    assert_refused(result, tmp_path, 'Python 3.10 to 3.12', str(python))


def test_set_up_refuses_a_machine_without_compiler(tmp_path):
    result = set_up(tmp_path, CXX='no-such-compiler')
    assert_refused(result, tmp_path, 'no-such-compiler', 'apt-get install')


def test_set_up_refuses_a_full_disk(tmp_path):
    executable(
        tmp_path / 'df', "printf 'head\\ndisk 100000000 0 2097152 99%% /\\n'"
    )
    result = set_up(tmp_path, PATH=f'{tmp_path}:{os.environ["PATH"]}')
    # 2 097 152 blocks of 1 KiB.
    assert_refused(result, tmp_path, '2 GB', '6 GB are needed')


def test_set_up_leaves_a_foreign_environment_alone(tmp_path):
    mine = tmp_path / 'venv' / 'mine'
    mine.parent.mkdir()
    mine.touch()
    result = set_up(tmp_path)
    assert result.returncode == 1
    assert 'not made by this script' in result.stderr
    assert mine.exists()


def extension(*sources: str, name='mmcv._ext') -> Extension:
    return Extension(name, list(sources))


def test_mmcv_ops_are_joined_in_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ops = extension(
        './mmcv/ops/csrc/pytorch/nms.cpp',
        './mmcv/ops/csrc/pytorch/cpu/nms.cpp',
        './mmcv/ops/csrc/pytorch/border_align.cpp',
    )
    join_sources(Distribution(dict(ext_modules=[ops])))
    assert ops.sources == [
        'build/mmcv_ops.cpp',
        './mmcv/ops/csrc/pytorch/cpu/nms.cpp',
    ]
    first, *includes = (tmp_path / ops.sources[0]).read_text().splitlines()
    assert first == '#include <torch/extension.h>'
    # As seen from build/.
    assert includes == [
        '#include "../mmcv/ops/csrc/pytorch/border_align.cpp"',
        '#include "../mmcv/ops/csrc/pytorch/nms.cpp"',
    ]


@pytest.mark.parametrize(
    'other',
    [
        extension('mmcv/ops/csrc/pytorch/nms.cpp', name='mine'),
        # As a build for CUDA has them.
        extension(
            'mmcv/ops/csrc/pytorch/nms.cpp',
            'mmcv/ops/csrc/pytorch/cuda/nms_cuda.cu',
        ),
        extension('mmcv/ops/csrc/pytorch/cpu/nms.cpp'),
    ],
)
def test_other_builds_are_left_alone(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    sources = list(other.sources)
    join_sources(Distribution(dict(ext_modules=[other])))
    join_sources(Distribution())
    assert other.sources == sources
    assert not any(tmp_path.iterdir())
