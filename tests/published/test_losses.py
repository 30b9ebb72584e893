import math

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_metaanchor import ObjectnessLoss


def test_empty_priors_weigh_less():
    # logit 0 costs log 2 each: one object, two empty (0.5 each), one ignored
    logits = torch.zeros(4, requires_grad=True)
    labels = torch.tensor([1.0, 0, 0, 0])
    weights = torch.tensor([1.0, 1, 1, 0])
    loss = MODELS.build(dict(type='ObjectnessLoss', reduction='sum'))
    value = loss(logits, labels, weight=weights)
    assert value.item() == pytest.approx(math.log(2) * (1 + 0.5 + 0.5))
    value.backward()
    # sigmoid(0) - label, weighted
    torch.testing.assert_close(
        logits.grad, torch.tensor([-0.5, 0.25, 0.25, 0])
    )


@pytest.mark.parametrize('weight', [-0.5, float('nan')])
def test_refuses_weight(weight):
    with pytest.raises(ValueError, match=str(weight)):
        ObjectnessLoss(noobj_weight=weight)
