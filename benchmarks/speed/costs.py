"""What a model costs beside time: parameters, operations and memory."""

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmdet_metaanchor.runtime.runner import keep_freed_memory

from .timing import build_model
from .variants import VARIANTS, Settings, make_run, set_precision


def count_parameters(model: nn.Module) -> int:
    """Numbers that a model has learnt or may learn."""
    return sum(param.numel() for param in model.parameters())


def count_flops(run: Callable[[], None]) -> int:
    """Floating-point operations of convolutions and matrix products.

    A multiplication and an addition are two. The run is made twice, and the
    second one counted: what it keeps from the first costs nothing.
    """
    run()
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def peak_memory(name: str, cfg: Config, settings: Settings) -> dict[str, int]:
    """Most memory that a variant takes, in bytes.

    On CUDA, it is what PyTorch has allocated more than before: parameters,
    gradients, state of the optimizer, activations. On a CPU, it is all that a
    process of its own holds in RAM, Python and the libraries included; of
    Linux only.

    Args:
        name (str): One of ``VARIANTS``.
        cfg (Config): Config of its detector.
        settings (Settings): Sizes and device.

    Returns:
        dict[str, int]: One number for each of the variant's runs. Each is
        made twice, so that what is kept for the next one is there.
    """
    if settings.device == 'cuda':
        return _measure_alone(name, cfg, settings)
    # Not forked: a child would start with the pages of its parent.
    spawn = get_context('spawn')
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(_measure_alone, name, cfg, settings).result()


def _measure_alone(
    name: str, cfg: Config, settings: Settings
) -> dict[str, int]:
    init_default_scope('mmdet')
    keep_freed_memory()
    before = 0
    if settings.device == 'cuda':  # in the process of the measurements of time
        gc.collect()  # earlier models, which would be freed in between
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
    model = build_model(cfg, settings.device)
    set_precision(model, settings)
    peaks = {}
    # Inference comes first: training takes more, so its peak is its own.
    for what in VARIANTS[name].runs:
        run = make_run(what, cfg, model, settings)
        if settings.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        run()
        run()
        peaks[what] = _peak(settings.device) - before
    return peaks


def _peak(device: str) -> int:
    if device == 'cuda':
        return torch.cuda.max_memory_allocated()
    # Not getrusage: its maximum goes on from that of the parent.
    (line,) = (
        line
        for line in Path('/proc/self/status').read_text().splitlines()
        if line.startswith('VmHWM:')
    )
    return int(line.split()[1]) * 1024  # from KiB
