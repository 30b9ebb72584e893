"""What figures were measured on: machine, versions and commit."""

import os
import platform
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import torch

from mmdet_metaanchor.version import __version__


def describe_machine() -> dict:
    """What a training runs on: ``cores``, ``device`` and ``torch``."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f'CPU, {_cpu_name()}'
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count()
    return dict(cores=cores, device=device, torch=torch.__version__)


def _cpu_name() -> str:
    # platform knows only the architecture on most Linux machines.
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def describe_commit() -> str | None:
    """Commit of this package, ``-dirty`` if files but results differ from it.

    Returns:
        str | None: ``None`` where the package is no checkout of git.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / '.git').exists() or shutil.which('git') is None:
        return None
    git = ['git', '-C', str(root)]
    done = subprocess.run(
        [*git, 'describe', '--always'], capture_output=True, text=True
    )
    differ = subprocess.run(
        [*git, 'diff', '--quiet', 'HEAD', '--', '.', ':!benchmarks/results'],
        capture_output=True,
    )
    return done.stdout.strip() + '-dirty' * (differ.returncode == 1) or None


def describe_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the figures."""
    names = ('torch', 'mmengine', 'mmcv', 'mmdet')
    return dict(
        **{name: str(import_module(name).__version__) for name in names},
        mmdet_metaanchor=__version__,
        python=platform.python_version(),
    )
