"""Memo: results that are computed once while their inputs stay the same."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar('Result')
# Kept results of one function; for a level each, and some to spare.
MOST = 16


class Memo:
    """Keeps what a function gave for its inputs.

    On a GPU, to work out again what the last call did would take longer than
    the convolutions. A tensor is the same if it is the same object and was
    not written to since: PyTorch counts writes, other than those through
    ``.data``. Copies and pickles start empty.

    Args:
        most (int): How many results to keep.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._kept = {}

    def __call__(self, compute: Callable[[], Result], *inputs) -> Result:
        """What ``compute()`` gives, or gave for the same inputs.

        Args:
            compute (Callable): Depends on nothing but the inputs. What it
                returns is not to be written to.
            *inputs: Tensors, by identity; numbers, texts and types, by
                value; anything else, by identity.
        """
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return compute()
        key = tuple(map(_mark, inputs))
        kept = self._kept.get(key)
        if kept is not None:
            return kept[0]
        # A result of inference mode could not be used in training.
        with torch.inference_mode(False):
            result = compute()
        if len(self._kept) >= self.most:
            self.clear()
        # With the inputs, so that no other object gets their identity.
        self._kept[key] = result, inputs
        return result

    def __deepcopy__(self, _memo: dict) -> 'Memo':
        return Memo(self.most)

    def __reduce__(self) -> tuple:
        return Memo, (self.most,)


def _mark(value) -> tuple | int:
    """What tells one input from another."""
    if isinstance(value, Tensor):
        # Tensors of inference mode count no writes.
        return id(value), None if value.is_inference() else value._version
    if isinstance(value, (int, str, torch.dtype, torch.device)):
        return type(value).__name__, value
    return id(value)
