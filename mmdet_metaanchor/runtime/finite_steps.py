"""FiniteOptimWrapper: one batch without a finite gradient spoils nothing."""

import logging

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from .arguments import known_arguments

MOST_IN_A_ROW = 10


@OPTIM_WRAPPERS.register_module()
@known_arguments
class FiniteOptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper, without steps that are not finite.

    One loss that is NaN or infinite makes every parameter NaN, and MMEngine
    trains on. Here such a step is left out, with a warning that counts them.
    Several processes decide the same, as they share their gradients. After
    ten in a row the model is taken for the cause, and training ends.

    ``AmpOptimWrapper`` needs no such thing: its gradient scaler leaves such
    steps out.

    Args:
        *args: Arguments of MMEngine's ``OptimWrapper``.
        non_finite (str): 'skip' leaves such a step out, 'stop' ends the
            training at the first. Defaults to 'skip'.
        **kwargs: Other arguments of MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: ``non_finite`` is another word.
        FloatingPointError: In training: a step to stop at.
    """

    def __init__(self, *args, non_finite: str = 'skip', **kwargs) -> None:
        if non_finite not in ('skip', 'stop'):
            raise ValueError(
                f"non_finite must be 'skip' or 'stop', got {non_finite!r}"
            )
        super().__init__(*args, **kwargs)
        self.most_in_a_row = MOST_IN_A_ROW if non_finite == 'skip' else 1
        self.skipped = self.skipped_in_a_row = 0

    def step(self, **kwargs) -> None:
        """Clip and step, if the gradients are finite.

        Args:
            **kwargs: Arguments of the optimizer's ``step``.
        """
        if self._gradients_are_finite():
            self.skipped_in_a_row = 0
            super().step(**kwargs)
            return
        self.skipped += 1
        self.skipped_in_a_row += 1
        iteration = self.message_hub.get_info('iter', 0) + 1
        if self.skipped_in_a_row >= self.most_in_a_row:
            raise FloatingPointError(
                f'the gradients of iteration {iteration} are not finite, the '
                f'step {self.skipped_in_a_row} in a row; look at the losses '
                'before it, the learning rate and the boxes of its images'
            )
        print_log(
            f'The gradients of iteration {iteration} are not finite: its step '
            f'is left out, {self.skipped} so far.',
            logger='current',
            level=logging.WARNING,
        )

    def _gradients_are_finite(self) -> bool:
        # What is not finite stays so in a sum; one look at the device.
        sums = [
            param.grad.sum(dtype=torch.float32)
            for group in self.optimizer.param_groups
            for param in group['params']
            if param.grad is not None
        ]
        return not sums or bool(torch.stack(sums).isfinite().all())
