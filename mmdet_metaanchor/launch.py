"""From a command line to an MMEngine runner, with or without a GPU."""

import argparse
import atexit
import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_checkpoint
from mmengine.utils import digit_version
from torch import nn

# Options of glibc's mallopt, from its malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line, not a traceback, on bad input."""
    try:
        yield
    except (
        FileExistsError,
        FileNotFoundError,
        ModuleNotFoundError,
        TypeError,
        ValueError,
    ) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: error: {error}')


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
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def build_runner(cfg: Config) -> Runner:
    """Runner of ``cfg``, its processes connected where there are several."""
    setup_cache_size_limit_of_dynamo()
    keep_freed_memory()
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        connect_cpu_processes(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def keep_freed_memory() -> None:
    """On a CPU, let large blocks be used again once they are freed.

    glibc gives them back to the system, which hands them out anew, and
    zeroed, page by page: for gradients and activations at every iteration.
    """
    if get_device() != 'cpu':
        return
    try:
        set_option = ctypes.CDLL('libc.so.6').mallopt
    except OSError:
        return  # not glibc
    # Older glibc takes no more than 32 MB. If it took neither, the other two
    # would do harm: they end the growth of the threshold, at 128 KB.
    if any(set_option(M_MMAP_THRESHOLD, size) for size in (2**30, 2**25)):
        set_option(M_TRIM_THRESHOLD, 2**31 - 1)
        set_option(M_TOP_PAD, 2**28)


def connect_cpu_processes(cfg: Config) -> None:
    """Join the processes with gloo; MMEngine's own way asks for a GPU."""
    if not is_distributed():
        torch.distributed.init_process_group('gloo')
        atexit.register(leave_process_group)
    cfg.setdefault('model_wrapper_cfg', {})
    cfg.model_wrapper_cfg.setdefault('type', 'MMDistributedDataParallel')
    cfg.model_wrapper_cfg.setdefault('broadcast_buffers', False)
    cfg.model_wrapper_cfg.setdefault(
        'find_unused_parameters', cfg.get('find_unused_parameters', False)
    )
    # MMEngine fills in the local rank as a GPU, unless told that it is none.
    cfg.model_wrapper_cfg.device_ids = None


def leave_process_group() -> None:
    """Let gloo's threads end before the interpreter does.

    One that lets go of a tensor later aborts the process, after a training
    that succeeded (pytorch/pytorch#190489).
    """
    if is_distributed():
        torch.distributed.destroy_process_group()
        # The model of a runner still holds it, and is part of cycles.
        gc.collect()


def allow_checkpoint_classes() -> None:
    """Let ``torch.load`` read what MMEngine itself writes to a checkpoint.

    Since PyTorch 2.6 only allow-listed names are unpickled, and MMEngine
    before 0.10.8 does not list those of its training log. Done on import of
    the package.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return  # it neither asks nor knows stand-ins
    arrays = (getattr(np, '_core', None) or np.core).multiarray
    dtypes = (type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8'))
    # All with their names: MMEngine since 0.10.8 lists bare classes for each
    # load, and takes them off the list again after it.
    torch.serialization.add_safe_globals(
        [
            # In its place, as the plain one would open every other class.
            (_statistic_of_history, 'builtins.getattr'),
            *(
                (owner, f'{owner.__module__}.{owner.__name__}')
                for owner in (HistoryBuffer, np.ndarray, np.dtype, *dtypes)
            ),
            # NumPy 1 and 2 write different names.
            *(
                (getattr(arrays, name), f'numpy.{core}.multiarray.{name}')
                for core in ('core', '_core')
                for name in ('_reconstruct', 'scalar')
            ),
        ]
    )


def _statistic_of_history(owner: type, name: str) -> Callable:
    """A method of HistoryBuffer; its pickles hold them by name."""
    if owner is not HistoryBuffer:
        raise UnpicklingError(f'{owner}.{name} has no place in a checkpoint')
    return getattr(owner, name)


def last_checkpoint(folder: Path) -> Path:
    """The last complete checkpoint of a training.

    Args:
        folder (Path): Work dir of the training.

    Returns:
        Path: The checkpoint, or a file that does not exist.
    """
    marker = folder / 'last_checkpoint'
    if not marker.is_file():
        return folder / 'no checkpoint'
    # MMEngine notes an absolute path, but folders get moved.
    return folder / Path(marker.read_text().strip()).name


def load_detector(cfg: Config, checkpoint: str) -> tuple[nn.Module, dict]:
    """Detector of a config with the weights of a checkpoint, on the CPU.

    Args:
        cfg (Config): The config.
        checkpoint (str): Name of the file, or a URL that MMEngine knows.

    Returns:
        tuple[nn.Module, dict]: The detector, for evaluation, and what the
        checkpoint says of its data, ``dict(dataset_meta=...)``.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is of another model.
    """
    model = MODELS.build(cfg.model)
    with fitting(checkpoint, model):
        content = load_checkpoint(
            model, checkpoint, 'cpu', strict=True, logger='silent'
        )
    meta = content.get('meta', {}).get('dataset_meta', {})
    return model.eval(), dict(dataset_meta=meta)


@contextmanager
def fitting(checkpoint: str, model: nn.Module) -> Iterator[None]:
    """Say in one line that a checkpoint is missing or of another model."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(
            f'checkpoint {checkpoint} does not exist'
        ) from None
    except URLError as error:
        raise FileNotFoundError(f'{checkpoint}: {error}') from None
    except RuntimeError as error:
        # A two-stage detector has several heads.
        head = getattr(model, 'bbox_head', model)
        raise ValueError(
            f'{checkpoint} does not fit the {type(head).__name__} of the '
            f'config: {" ".join(str(error).split())}'
        ) from None


def load_strictly(runner: Runner, checkpoint: str) -> None:
    """Load a checkpoint, a file or a URL, that has to fit in every parameter.

    Not by ``runner.load_checkpoint``, which calls hooks that are not ready
    before ``runner.test()``: of EMAHook's checkpoints the averaged weights
    are loaded, and it copies the model when the test begins.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is of another model, e.g. a stock RetinaNet.
    """
    with fitting(checkpoint, runner.model):
        load_checkpoint(
            runner.model, checkpoint, 'cpu', strict=True, logger=runner.logger
        )
    # Else the test would load what the config says.
    runner._has_loaded = True
