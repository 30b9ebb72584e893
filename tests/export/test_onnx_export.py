"""An ONNX file gives what PyTorch gives, and is whole or not there."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from small_detectors import (
    RPN,
    SSD,
    YOLO,
    assert_all_decoded,
    data_of,
    read_config,
)
from small_detectors import build as build_detector

from mmdet_metaanchor import (
    bake_anchors,
    customize_anchors,
    export_onnx,
)
from mmdet_metaanchor.export import onnx_export
from mmdet_metaanchor.export.onnx_export import (
    batch_of,
    largest_differences,
    open_onnx,
)
from mmdet_metaanchor.export.onnx_network import DetectorNetwork

for package in ('onnx', 'onnxruntime'):
    pytest.importorskip(package, reason=f'the export needs {package}')

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'export_onnx.py'
STRIDES = (8, 16, 32, 64, 128)
SETS = {
    'AnchorGenerator': dict(scales=[3, 5], ratios=[0.7, 1.9]),
    'YOLOAnchorGenerator': [
        [(2.5 * s, 4 * s), (6 * s, 3 * s)] for s in STRIDES
    ],
}


@pytest.fixture
def build(small_retinanet):
    """A small MetaAnchor RetinaNet whose priors differ, and its config."""

    def build(kind='meta-retinanet'):
        cfg = small_retinanet(kind)
        cfg.model.test_cfg.score_thr = 0.0
        model = MODELS.build(cfg.model)
        if kind == 'meta-retinanet':
            head = model.bbox_head
            for part in (head.retina_cls, head.retina_reg):
                torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
        return model.eval(), cfg

    return build


@pytest.fixture
def bake(build):
    def bake(anchors):
        model, cfg = build()
        customize_anchors(model, SETS[anchors])
        stock_cfg, state = bake_anchors(model, cfg)
        stock = MODELS.build(stock_cfg.model).eval()
        stock.load_state_dict(state)
        assert type(stock.bbox_head.prior_generator).__name__ == anchors
        return stock, stock_cfg

    return bake


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    """What :func:`exported` made, by the names of anchors and outputs."""
    return {}, tmp_path_factory.mktemp('onnx')


@pytest.fixture
def exported(bake, kept):
    """A stock detector, its file and the differences, each made once."""

    def exported(anchors, decode):
        made, folder = kept
        if (anchors, decode) not in made:
            out = folder / f'{anchors}-{decode}.onnx'
            model, _ = bake(anchors)
            told = export_onnx(model, out, decode, [pixels(40, 50, 3)])
            made[anchors, decode] = model, out, told
        return made[anchors, decode]

    return exported


def pixels(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('anchors', SETS)
def test_onnxruntime_gives_what_pytorch_gives(exported, anchors, decode):
    model, out, told = exported(anchors, decode)
    network = DetectorNetwork(model, decode)
    # Smaller than the stride, a multiple of the divisor, neither.
    batches = [
        (pixels(*shape).astype(np.float32),)
        for shape in ((1, 3, 20, 30), (2, 3, 64, 160), (2, 3, 131, 77))
    ]
    for differences in (told, largest_differences(network, out, batches)):
        assert list(differences) == list(network.dynamic_axes)
        assert max(differences.values()) < 1e-4


def test_raw_outputs_are_those_of_the_head(exported):
    model, out, _ = exported('AnchorGenerator', False)
    image = pixels(64, 96, 3)
    session = open_onnx(out)
    outputs = session.run(None, {'images': batch_of(image)})
    inputs = torch.from_numpy(image.transpose(2, 0, 1))
    data = model.data_preprocessor(dict(inputs=[inputs], data_samples=None))
    with torch.no_grad():
        cls_scores, bbox_preds = model(data['inputs'], mode='tensor')
    names = [output.name for output in session.get_outputs()]
    assert names == [
        *(f'cls_score_{level}' for level in range(5)),
        *(f'bbox_pred_{level}' for level in range(5)),
    ]
    for actual, expected in zip(
        outputs, [*cls_scores, *bbox_preds], strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('anchors', SETS)
def test_every_detection_is_a_decoded_box(exported, anchors):
    """Of an image that MMDetection has to normalise, pad and clip to."""
    model, out, _ = exported(anchors, True)
    image = pixels(100, 70, 3)
    found = model.test_step(data_of(image))[0].pred_instances.numpy()
    boxes, scores = open_onnx(out).run(None, {'images': batch_of(image)})
    # Padded to 128x96 px: 16x12 + 8x6 + 4x3 + 2x2 + 1x1 cells.
    assert boxes.shape == (1, 257 * model.bbox_head.num_base_priors, 4)
    assert boxes.min() == 0
    assert boxes.max(1).tolist() == [[70, 100, 70, 100]]
    assert_all_decoded(found, boxes, scores)
    assert np.isclose(scores.max(), found.scores.max(), atol=1e-5)


def test_differing_outputs_leave_the_old_file(bake, tmp_path, monkeypatch):
    out = tmp_path / 'model.onnx'
    out.write_text('old')
    monkeypatch.setattr(
        onnx_export, '_write', lambda _, path: path.write_text('new')
    )
    monkeypatch.setattr(
        onnx_export, 'largest_differences', lambda *_: {'x': float('nan')}
    )
    with pytest.raises(ValueError, match='differs from PyTorch'):
        export_onnx(bake('AnchorGenerator')[0], out)
    assert out.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [out]


def test_compare_sees_another_network(exported):
    model, out, _ = exported('AnchorGenerator', True)
    model = copy.deepcopy(model)
    model.bbox_head.retina_cls.bias.data += 0.1
    batch = pixels(1, 3, 64, 64).astype(np.float32)
    difference = largest_differences(
        DetectorNetwork(model, True), out, [(batch,)]
    )
    # The slope of a sigmoid is 1/4 at most.
    assert 1e-4 < difference['scores'] < 0.1 / 4 + 1e-4
    assert difference['boxes'] < 1e-4


OTHERS = [SSD, YOLO, RPN]


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('name', OTHERS)
def test_other_heads(tiny_data, tmp_path, monkeypatch, name, decode):
    """Baked, to a file; its boxes and scores are what stock detects."""
    cfg = read_config(name, tiny_data)
    stock_cfg, state = bake_anchors(build_detector(cfg), cfg)
    monkeypatch.setattr(SSDHead, 'loss_cls', None, raising=False)
    stock = MODELS.build(stock_cfg.model).eval()
    stock.load_state_dict(state)
    out = tmp_path / 'model.onnx'
    image = pixels(96, 128, 3)
    told = export_onnx(stock, out, decode, images=[image])
    assert list(told) == list(DetectorNetwork(stock, decode).dynamic_axes)
    if not decode:
        return
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(96, 128), ori_shape=(96, 128), scale_factor=(1.0, 1.0)
        )
    )
    data = dict(
        inputs=[torch.from_numpy(image.transpose(2, 0, 1))],
        data_samples=[sample],
    )
    found = stock.test_step(data)[0].pred_instances.numpy()
    assert len(found.bboxes) > 20
    boxes, scores = open_onnx(out).run(None, {'images': batch_of(image)})
    for box, score, label in zip(
        found.bboxes, found.scores, found.labels, strict=True
    ):
        same = np.abs(scores[0, :, label] - score) < 1e-5
        assert np.abs(boxes[0, same] - box).max(1).min() < 1e-2  # px


def test_refuses_live_heads_of_every_family(load_config):
    for name in OTHERS:
        cfg = load_config(f'{name}_r18-w32_digits.py')
        with pytest.raises(TypeError, match='Meta.*Head.* bake it first'):
            DetectorNetwork(MODELS.build(cfg.model))


def test_refuses_other_detectors(load_config):
    name = 'anchor_systems/faster-rcnn-stock_r18-w32_digits.py'
    model = MODELS.build(load_config(name).model)
    with pytest.raises(TypeError, match='single-stage .* got FasterRCNN'):
        DetectorNetwork(model)


@pytest.fixture
def site(kept, bake, build, load_config, tmp_path, monkeypatch):
    """Current folder with a stock and a MetaAnchor detector and an image."""
    _, folder = kept
    folder = folder / 'site'
    if not folder.exists():
        folder.mkdir()
        for name, (model, cfg) in (
            ('stock', bake('AnchorGenerator')),
            ('meta', build()),
        ):
            cfg.dump(folder / f'{name}.py')
            state = dict(state_dict=model.state_dict())
            torch.save(state, folder / f'{name}.pth')
        name = 'anchor_systems/faster-rcnn-stock_r18-w32_digits.py'
        load_config(name).dump(folder / 'two-stage.py')
        cv2.imwrite(str(folder / 'image.png'), pixels(50, 40, 3))
        (folder / 'old.onnx').write_text('old')
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tool_writes_and_tells(site):
    done = subprocess.run(
        [sys.executable, TOOL, 'stock.py', 'stock.pth', 'old.onnx']
        + ['--decode', '--check', 'image.png'],
        env={**os.environ, 'PYTHONPATH': str(TOOL.parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'Warning' not in done.stderr
    size, *axes, difference = done.stdout.splitlines()[-5:]
    assert size.startswith('old.onnx: ')
    assert axes == [
        'input images (batch, 3, height, width)',
        'output boxes (batch, priors, x1y1x2y2)',
        'output scores (batch, priors, classes)',
    ]
    assert 'largest difference from PyTorch' in difference
    assert open_onnx('old.onnx').get_inputs()[0].name == 'images'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('no.py stock.pth old.onnx', 'no.py'),
        ('stock.py no.pth old.onnx', 'no.pth does not exist'),
        ('stock.py meta.pth old.onnx', 'does not fit the RetinaHead'),
        ('two-stage.py meta.pth old.onnx', 'does not fit the FasterRCNN'),
        ('meta.py meta.pth old.onnx', 'bake it first'),
        ('stock.py stock.pth old.pb', 'old.pb'),
        ('stock.py stock.pth old.onnx --check no.jpg', 'no.jpg'),
        ('stock.py stock.pth old.onnx --check stock.py', 'not an image'),
    ],
)
def test_bad_input_ends_in_one_line(site, fail, arguments, message):
    assert message in fail('export_onnx.py', *arguments.split())
    assert Path('old.onnx').read_text() == 'old'


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime'])
def test_missing_package_ends_in_one_line(site, fail, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    line = fail('export_onnx.py', 'stock.py', 'stock.pth', 'old.onnx')
    assert line.endswith(
        f'{package} is not installed: pip install onnx onnxruntime'
    )
    assert Path('old.onnx').read_text() == 'old'
