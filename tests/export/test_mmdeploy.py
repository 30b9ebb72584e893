"""A baked detector is one for MMDeploy's export, too."""

from functools import partial
from inspect import signature

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from small_detectors import data_of

from mmdet_metaanchor import bake_anchors, customize_anchors

onnxruntime = pytest.importorskip(
    'onnxruntime', reason='the export needs onnxruntime'
)
apis = pytest.importorskip(
    'mmdeploy.apis', reason='MMDeploy is not installed: see docs/export.md'
)

IMAGE = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)
DEPLOY = dict(
    onnx_config=dict(
        type='onnx',
        export_params=True,
        keep_initializers_as_inputs=False,
        opset_version=11,
        save_file='end2end.onnx',
        input_names=['input'],
        output_names=['dets', 'labels'],
        input_shape=None,
        optimize=False,
    ),
    backend_config=dict(type='onnxruntime'),
    codebase_config=dict(
        type='mmdet',
        task='ObjectDetection',
        model_type='end2end',
        post_processing=dict(
            score_threshold=0.0,
            confidence_threshold=0.0,
            iou_threshold=0.5,
            max_output_boxes_per_class=1000,
            pre_top_k=5000,
            keep_top_k=100,
            background_label_id=-1,
        ),
    ),
)


@pytest.fixture
def baked(small_retinanet):
    """A small detector with anchors of two sizes on every level."""
    cfg = small_retinanet()
    cfg.model.test_cfg.update(score_thr=0.0, nms_pre=5000)
    for step in cfg.test_pipeline:
        if step.type == 'Resize':
            step.scale = (128, 96)
    cfg.test_dataloader.dataset.pipeline = cfg.test_pipeline
    model = MODELS.build(cfg.model).eval()
    for part in (model.bbox_head.retina_cls, model.bbox_head.retina_reg):
        torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
    customize_anchors(model, dict(scales=[3, 5], ratios=[0.7]))
    return bake_anchors(model, cfg)


@pytest.mark.filterwarnings('ignore')  # of its tracing
def test_its_file_detects_the_same(baked, tmp_path, monkeypatch):
    cfg, state = baked
    monkeypatch.chdir(tmp_path)
    cfg.dump('stock.py')
    torch.save(dict(state_dict=state), 'stock.pth')
    # MMDeploy 1.3.1 is of before the exporter of torch.export.
    if 'dynamo' in signature(torch.onnx.export).parameters:
        export = partial(torch.onnx.export, dynamo=False)
        monkeypatch.setattr(torch.onnx, 'export', export)
    apis.torch2onnx(
        IMAGE,
        '.',
        'end2end.onnx',
        Config(DEPLOY),
        'stock.py',
        'stock.pth',
        'cpu',
    )
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(state)
    data = data_of(IMAGE)
    found = model.test_step(data)[0].pred_instances.numpy()
    images = model.data_preprocessor(data)['inputs'].numpy()
    session = onnxruntime.InferenceSession('end2end.onnx')
    (dets,), (labels,) = session.run(None, {'input': images})
    assert len(found.bboxes) == len(dets) == 100
    # The last of them may be others of equal scores.
    np.testing.assert_allclose(dets[:50, 4], found.scores[:50], atol=1e-5)
    for box, score, label in zip(
        found.bboxes[:50], found.scores[:50], found.labels[:50], strict=True
    ):
        same = (labels == label) & (np.abs(dets[:, 4] - score) < 1e-5)
        assert np.abs(dets[same, :4] - box).max(1).min() < 1e-2  # px
