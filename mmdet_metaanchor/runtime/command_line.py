"""What the command-line tools share: flags, configs, errors in one line."""

import argparse
import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper

from .config_types import means


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line, not a traceback, on bad input."""
    try:
        yield
    except (
        KeyError,
        ModuleNotFoundError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        # MMEngine's, where a `type` is not known. Others are our mistakes.
        if isinstance(error, KeyError):
            if 'registry' not in str(error):
                raise
            error = error.args[0]
        program = Path(sys.argv[0])
        # `python -m PACKAGE` runs a file that has this name in each package.
        if program.name == '__main__.py':
            program = program.parent
        sys.exit(f'{program.name}: error: {error}')


@contextmanager
def quiet() -> Iterator[None]:
    """Let MMEngine log warnings only."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


def read_literal(text: str):
    """A Python literal that a person has typed.

    Raises:
        ValueError: It is none.
    """
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        raise ValueError(f'{text} is not a literal') from None


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that training and testing share in MMDetection."""
    parser.add_argument('--work-dir', help='folder for logs and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of the config: key=value, nested keys with '
        'dots, lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Config file, ``--cfg-options``, launcher and folder for the results.

    Raises:
        FileNotFoundError: The config, or one that it inherits from, does not
            exist.
    """
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'work_dirs/{Path(args.config).stem}'
    return cfg


def use_amp(cfg: Config) -> None:
    """Turn automatic mixed precision on in ``cfg``.

    Raises:
        ValueError: There is no accelerator; MMEngine's ``AmpOptimWrapper``
            needs one.
    """
    device = get_device()
    if device in ('cpu', 'mps'):
        raise ValueError(
            "--amp needs an accelerator that MMEngine's AmpOptimWrapper "
            f'supports, and this machine trains on "{device}"; leave --amp '
            'out'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    # It leaves steps out itself, by its scaler.
    cfg.optim_wrapper.pop('non_finite', None)
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def skip_non_finite_steps(cfg: Config) -> None:
    """Let a training leave steps out that are not finite, in ``cfg``.

    MMEngine's plain ``OptimWrapper`` becomes a :class:`.FiniteOptimWrapper`;
    another wrapper stays.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if means(kind, OptimWrapper):
        cfg.optim_wrapper.type = 'FiniteOptimWrapper'
