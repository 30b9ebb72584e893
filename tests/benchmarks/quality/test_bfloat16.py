"""Trainings in half precision."""

import torch
from torch import nn
from torch.optim import SGD

from benchmarks.quality.half_precision import BFloat16OptimWrapper


def test_losses_in_bfloat16_and_weights_in_single_precision():
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 1 + 2**-10)  # 1 in bfloat16
    wrapper = BFloat16OptimWrapper(SGD(model.parameters(), lr=2**-12))
    with wrapper.optim_context(model):
        loss = model(torch.ones(1, 2)).sum()
    assert loss == 2  # 1 + 1
    assert model(torch.ones(1, 2)).dtype == torch.float32
    wrapper.update_params(loss)
    # The gradient is 1, and the weight keeps what bfloat16 cannot hold.
    expected = torch.full((1, 2), 1 + 2**-10 - 2**-12)
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight.detach(), expected)


def test_convolutions_with_channels_last():
    conv = nn.Conv2d(2, 3, 3)
    wrapper = BFloat16OptimWrapper(SGD(conv.parameters(), lr=1))
    before = conv.weight.detach().clone()
    for _ in range(2):
        with wrapper.optim_context(conv):
            outputs = conv(torch.ones(1, 2, 4, 4))
        assert outputs.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(conv.weight, before)
    wrapper.update_params(outputs.float().sum())
    assert not torch.equal(conv.weight, before)
