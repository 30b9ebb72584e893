"""Check the packages under us, and make our configs known to MMEngine."""

from importlib import import_module, metadata

# In the order in which they import one another; the lowest major version.
_NEEDED = {'torch': 2, 'mmengine': 0, 'mmcv': 2, 'mmdet': 3}

# Both distributions import under the same names, so that one installed over
# the other breaks it: name the one of which there is something already.
_OPENMMLAB = ('mmdet==3.3.0', 'mmcv==2.1.0', 'mmengine==0.10.7')
_ONEDL = (
    'onedl-mmdetection==3.5.1',
    'onedl-mmcv==2.3.6',
    'onedl-mmengine==0.10.12',
)


def check_stack() -> None:
    """Refuse a missing or unfit stack in one line.

    What is checked is what imports, not what pip lists: an MMDetection on
    ``PYTHONPATH`` is as good as an installed one, and ops that were compiled
    for another PyTorch are as bad as none.

    Raises:
        ImportError: One of PyTorch, MMEngine, MMCV 2.x with compiled ops and
            MMDetection 3.x is missing, too old or broken. The message says
            which, what fits, and the command that installs it.
    """
    problem = _find_problem()
    if problem:
        raise ImportError(
            f'mmdet_metaanchor: {problem}. It runs on torch 2.x with '
            'mmdet 3.x, mmcv 2.x and mmengine of OpenMMLab or OneDL; '
            f'to install: {_install_command()}'
        ) from None


def register_config_package() -> None:
    """Let ``mmdet_metaanchor::`` name our configs.

    MMEngine looks such a prefix up in a fixed table of distributions and asks
    where the distribution lies, which upstream gets wrong for an editable
    install: it expects every package in site-packages. For what is no
    distribution both MMEngines ask Python's import system, which is right
    however we were installed. Hence the name of a module beside the configs,
    and not that of the distribution.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE['mmdet_metaanchor'] = 'mmdet_metaanchor.version'


def _find_problem() -> str:
    """Say what the first unfit package lacks, '' if all fit."""
    for name, major in _NEEDED.items():
        try:
            version = str(import_module(name).__version__)
        except Exception as error:
            return _describe(name, error)
        if int(version.split('.')[0]) < major:
            return f'{name} {version} is older than {major}.0'
        if name == 'mmcv':
            # Before mmdet, which imports them and fails less clearly.
            try:
                import_module('mmcv._ext')
            except Exception as error:
                if isinstance(error, ModuleNotFoundError):
                    return (
                        f'mmcv {version} has no compiled ops '
                        '(if it is mmcv-lite, uninstall that first)'
                    )
                return (
                    f'the ops of mmcv {version} do not load with this torch, '
                    'build them anew with --force-reinstall --no-cache-dir '
                    f'({_line(error)})'
                )
    return ''


def _describe(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return f'{name} is not installed'
    return f'{name} is installed but does not import ({_line(error)})'


def _line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())


def _install_command() -> str:
    installed = {
        (distribution.metadata['Name'] or '').lower()
        for distribution in metadata.distributions()
    }
    upstream = {'mmdet', 'mmcv', 'mmcv-full', 'mmcv-lite', 'mmengine'}
    stack = _OPENMMLAB if installed & upstream else _ONEDL
    # MMCV compiles its ops for the torch that it finds.
    return (
        'pip install torch "setuptools<81" packaging ninja && '
        'pip install --no-build-isolation ' + ' '.join(stack)
    )
