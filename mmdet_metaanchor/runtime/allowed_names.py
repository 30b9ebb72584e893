"""What MMEngine's checkpoints name, and nothing else: where PyTorch asks."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.utils import digit_version


def names_allowed() -> AbstractContextManager:
    """Allow what MMEngine's checkpoints name, where PyTorch asks."""
    if digit_version(torch.__version__) < digit_version('2.6'):
        return nullcontext()
    return torch.serialization.safe_globals(names_of_mmengine())


def names_of_mmengine() -> list[tuple]:
    """What MMEngine's checkpoints name, for PyTorch's list.

    Those of its training log, of ``OneCycleLR``, which keeps a function, and
    of a ``metainfo`` with a dict in it.
    """
    arrays = (getattr(np, '_core', None) or np.core).multiarray
    dtypes = (type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8'))
    # All with their names: MMEngine since 0.10.8 lists bare classes for each
    # load, and takes them off the list again after it.
    return [
        # In its place, as the plain one would open every other class.
        (_kept_function, 'builtins.getattr'),
        *(
            (owner, f'{owner.__module__}.{owner.__name__}')
            for owner in (
                HistoryBuffer,
                OneCycleParamScheduler,
                ConfigDict,
                np.ndarray,
                np.dtype,
                *dtypes,
            )
        ),
        # NumPy 1 and 2 write different names.
        *(
            (getattr(arrays, name), f'numpy.{core}.multiarray.{name}')
            for core in ('core', '_core')
            for name in ('_reconstruct', 'scalar')
        ),
    ]


def _kept_function(owner: type, name: str) -> Callable:
    """A function of the two classes whose pickles hold some by name."""
    if owner not in (HistoryBuffer, OneCycleParamScheduler):
        raise UnpicklingError(f'{owner}.{name} has no place in a checkpoint')
    return getattr(owner, name)
