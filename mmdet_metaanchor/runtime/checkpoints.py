"""Reading checkpoints: those of MMEngine, under every PyTorch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    load_from_http,
    load_from_local,
)
from mmengine.utils import digit_version
from torch import nn


def read_checkpoints_of_mmengine() -> None:
    """Let MMEngine read what it itself writes to a checkpoint.

    Since PyTorch 2.6 only allow-listed names are unpickled, and MMEngine
    before 0.10.8 does not list those of its training log. They are listed
    while MMEngine reads a checkpoint from a file or a URL, and for no other
    ``torch.load``. Done on import of the package.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return  # it neither asks nor knows stand-ins
    for prefixes, load in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
    ):
        CheckpointLoader.register_scheme(
            prefixes, _with_names_of_log(load), force=True
        )


def _with_names_of_log(load: Callable) -> Callable:
    @wraps(load)
    def load_with_names(*args, **kwargs) -> dict:
        with torch.serialization.safe_globals(names_of_log()):
            return load(*args, **kwargs)

    return load_with_names


def names_of_log() -> list[tuple]:
    """What pickles of MMEngine's training log name, for PyTorch's list."""
    arrays = (getattr(np, '_core', None) or np.core).multiarray
    dtypes = (type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8'))
    # All with their names: MMEngine since 0.10.8 lists bare classes for each
    # load, and takes them off the list again after it.
    return [
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
