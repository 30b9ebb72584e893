"""MMEngine runners, with or without a GPU."""

import atexit
import ctypes
import gc
import os

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

# Options of glibc's mallopt, from its malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def model_of(runner: Runner) -> nn.Module:
    """The model of a runner, out of the wrapper of several processes."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


def build_runner(cfg: Config) -> Runner:
    """Runner of ``cfg``, its processes connected where there are several."""
    setup_cache_size_limit_of_dynamo()
    keep_freed_memory()
    if cfg.get('randomness', {}).get('deterministic'):
        # Older PyTorch asks for it where cuBLAS multiplies matrices, as for
        # weights that are generated, and in no stock head.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
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
