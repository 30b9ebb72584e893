"""What the benchmarks have to know of a detector."""

from torch import nn


def dense_head(model: nn.Module) -> nn.Module:
    """The head of a detector that has priors, stock or ours.

    That of a two-stage detector is its RPN.
    """
    return model.rpn_head if hasattr(model, 'rpn_head') else model.bbox_head
