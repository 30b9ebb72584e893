"""Trainings in half precision, on a CPU as on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmdet_metaanchor.runtime.finite_steps import FiniteOptimWrapper


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(FiniteOptimWrapper):
    """Autocast to bfloat16, which needs no scaled gradients.

    MMEngine's ``AmpOptimWrapper`` does the same, and only on accelerators. A
    training is faster on a CPU that has AVX512-BF16. The weights of
    convolutions lie with channels last, for which oneDNN takes half the time.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """A block in which the losses are computed.

        Args:
            model (nn.Module): What is trained.
        """
        model.to(memory_format=torch.channels_last)  # nothing, if they are
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16),
        ):
            yield
