"""A baked detector is a stock one that detects the same."""

import subprocess
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmdet_metaanchor import bake_anchors, customize_anchors

STRIDES = (8, 16, 32, 64, 128)
LISTED = [[(2.5 * s, 4 * s), (6 * s, 3 * s)] for s in STRIDES]
SETS = {
    'as trained': None,
    'a grid': dict(scales=[3, 5], ratios=[0.7, 1.9]),
    'a list of sizes': LISTED,
    'around the middle': dict(
        type='YOLOAnchorGenerator', base_sizes=LISTED, strides=list(STRIDES)
    ),
}


@pytest.fixture
def build(load_config):
    """A small MetaAnchor RetinaNet whose priors differ, and its config."""

    def build(**head):
        cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
        cfg.model.bbox_head.update(head)
        cfg.model.test_cfg.score_thr = 0.0
        cfg.model.backbone.init_cfg = None
        model = MODELS.build(cfg.model)
        for part in (model.bbox_head.retina_cls, model.bbox_head.retina_reg):
            torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
        return model.eval(), cfg

    return build


def samples():
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(96, 128), ori_shape=(96, 128), scale_factor=(1.0, 1.0)
        )
    )
    return [sample]


@torch.no_grad()
def detect(model):
    image = torch.randn(
        1, 3, 96, 128, generator=torch.Generator().manual_seed(1)
    )
    return model.predict(image, samples())[0].pred_instances


@pytest.mark.parametrize('name', SETS)
def test_detects_the_same(build, name):
    model, cfg = build()
    if SETS[name] is not None:
        customize_anchors(model, SETS[name])
    stock_cfg, state = bake_anchors(model, cfg)
    stock = MODELS.build(stock_cfg.model).eval()
    stock.load_state_dict(state)  # strictly
    assert type(stock.bbox_head).__name__ == 'RetinaHead'
    live, baked = detect(model), detect(stock)
    assert len(live) == len(baked) > 0
    torch.testing.assert_close(baked.scores, live.scores)
    assert torch.equal(baked.labels, live.labels)
    torch.testing.assert_close(baked.bboxes, live.bboxes, rtol=1e-5, atol=1e-3)


def test_nothing_is_changed(build):
    model, cfg = build()
    before = (
        cfg.to_dict(),
        {k: v.clone() for k, v in model.state_dict().items()},
    )
    bake_anchors(model, cfg)
    assert cfg.to_dict() == before[0]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[1][name])


def test_needs_no_plugin(build, tmp_path):
    """In a process that cannot import this package."""
    model, cfg = build()
    cfg.model.train_cfg.assigner = dict(type='FasterRCNNAssigner')
    customize_anchors(model, LISTED)
    stock_cfg, state = bake_anchors(model, cfg)
    Config(dict(model=stock_cfg.model)).dump(tmp_path / 'stock.py')
    assert 'custom_imports' not in stock_cfg
    torch.save(state, tmp_path / 'stock.pth')
    script = """
import sys
sys.modules['mmdet_metaanchor'] = None  # importing it fails
import torch
from mmengine.config import Config
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
register_all_modules()
cfg = Config.fromfile('stock.py')
model = MODELS.build(cfg.model)
model.load_state_dict(torch.load('stock.pth'))
print(sorted(type(m).__module__.split('.')[0] for m in model.modules()))
"""
    done = subprocess.run(
        [sys.executable, '-c', script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'mmdet_metaanchor' not in done.stdout


def test_refuses_what_stock_cannot_express(build):
    model, cfg = build(anchor_function=dict(data_dependent=True))
    with pytest.raises(ValueError, match='data_dependent'):
        bake_anchors(model, cfg)
    model, cfg = build()
    customize_anchors(model, [[(32, 32)]] * 5)
    with pytest.raises(ValueError, match='codes of level 0'):
        bake_anchors(model, cfg)
    model, cfg = build(bbox_coder=dict(type='CornersVarianceBBoxCoder'))
    with pytest.raises(ValueError, match='CornersVarianceBBoxCoder'):
        bake_anchors(model, cfg)


def test_refuses_stock(load_config):
    cfg = load_config('custom/retinanet_r18-w32_custom.py')
    with pytest.raises(TypeError, match='RetinaHead'):
        bake_anchors(MODELS.build(cfg.model), cfg)
