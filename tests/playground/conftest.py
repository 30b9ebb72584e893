"""A session that several files share."""

import pytest
from small_models import build_model

from mmdet_metaanchor.playground.session import Session


@pytest.fixture
def session(load_config, tiny_data):
    """Of a RetinaNet, with the truth of its images."""
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    cfg.model.test_cfg.score_thr = 0.0
    images = sorted((tiny_data / 'images').iterdir())
    return Session(build_model(cfg), images, tiny_data / 'val.json')
