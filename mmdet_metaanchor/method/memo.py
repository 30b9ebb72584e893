"""Memo: results that are computed once while their inputs stay the same."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar('Result')
# Kept results of one function; for a level each, and some to spare.
MOST = 16
# How many numbers of a large tensor one sum is of. It is odd: bits of 1 024
# numbers that are all doubled or negated add up to the same 32 bits.
BLOCK = 1023
# By the bytes of a number: the integers that have its bits, and of their sums.
BITS = {
    1: (torch.uint8, torch.int32),
    2: (torch.int16, torch.int32),
    4: (torch.int32, torch.int32),
    8: (torch.int64, torch.int64),
}
# PyTorch before 2.3 cannot tell whether it compiles.
is_compiling = getattr(
    getattr(torch, 'compiler', None), 'is_compiling', lambda: False
)


class Memo:
    """Keeps what a function gave for its inputs.

    On a GPU, to work out again what the last call did would take longer than
    the convolutions. A tensor is the same if it is the same object and was
    not written to since. PyTorch counts writes, but neither those through
    ``.data``, by which MMEngine averages models, nor the steps of fused
    optimizers. Tensors that may be written to so are ``watched``: they are
    looked through at every call. Copies and pickles start empty.

    Args:
        most (int): How many results to keep.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._kept = {}

    def __call__(
        self,
        compute: Callable[[], Result],
        *inputs,
        watched: Sequence[Tensor] = (),
    ) -> Result:
        """What ``compute()`` gives, or gave for the same inputs.

        Args:
            compute (Callable): Depends on nothing but the inputs. What it
                returns is not to be written to.
            *inputs: Tensors, by identity; numbers, texts and types, by
                value; anything else, by identity.
            watched (Sequence[Tensor]): Inputs, too, on one device; also by
                what :func:`summary` says of their content. They are not
                held, for PyTorch swaps tensors that nobody else holds.
        """
        if is_compiling() or torch.jit.is_tracing():
            return compute()
        key = tuple(map(_mark, (*inputs, *watched)))
        # Before anything is computed: another thread may write meanwhile.
        content = summary(watched)
        kept = self._kept.get(key)
        if kept is not None and torch.equal(kept[1], content):
            return kept[0]
        # A result of inference mode could not be used in training. Leaving
        # that mode would turn gradients on.
        gradients = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(gradients):
            result = compute()
        if len(self._kept) >= self.most:
            self.clear()
        # With the inputs, so that no other object gets their identity.
        self._kept[key] = result, content, inputs
        return result

    def __reduce__(self) -> tuple:
        return Memo, (self.most,)


def summary(tensors: Sequence[Tensor]) -> Tensor:
    """What another content of tensors does not have.

    The bits of small ones, and of large ones the sums of 1 023 numbers each,
    as integers. So every change of one number shows, and of several unless
    the sums agree by chance, or numbers change places within their 1 023.

    Args:
        tensors (Sequence[Tensor]): On one device.

    Returns:
        Tensor: (n,) integers, on this device; empty on 'meta'.
    """
    parts = [torch.empty(0, dtype=torch.int32, device='cpu')]
    with torch.no_grad():
        for tensor in tensors:
            if tensor.is_meta:
                continue
            bits, sums = BITS[tensor.element_size()]
            flat = tensor.reshape(-1).view(bits)
            blocks, rest = flat.split(
                [len(flat) // BLOCK * BLOCK, len(flat) % BLOCK]
            )
            parts += [blocks.view(-1, BLOCK).sum(1, dtype=sums), rest]
        return torch.cat([part.to(parts[-1].device) for part in parts])


def _mark(value) -> tuple | int:
    """What tells one input from another."""
    if isinstance(value, Tensor):
        # Tensors of inference mode count no writes.
        version = None if value.is_inference() else value._version
        # Watched ones are not held: after a move to another device and back
        # a new one may have the identity of an old one.
        return id(value), version, value.dtype, value.device
    if isinstance(value, (int, float, str, torch.dtype, torch.device)):
        return type(value).__name__, value
    return id(value)
