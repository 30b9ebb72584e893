"""Sessions of small untrained detectors that detect something."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_metaanchor.anchors.customize import find_head
from mmdet_metaanchor.playground.session import Session

CLASSES = ('odd', 'even')  # of tiny_data


def build_model(cfg: Config):
    """A model whose priors differ, with its config, as MMDetection leaves."""
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for part in find_head(model).anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
    model.cfg, model.dataset_meta = cfg, dict(classes=CLASSES)
    return model.eval()


@pytest.fixture
def session(load_config, tiny_data):
    """Of a RetinaNet, with the truth of its images."""
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    cfg.model.test_cfg.score_thr = 0.0
    images = sorted((tiny_data / 'images').iterdir())
    return Session(build_model(cfg), images, tiny_data / 'val.json')
