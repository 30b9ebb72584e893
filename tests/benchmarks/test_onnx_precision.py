"""What the table of precisions is made of."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from benchmarks.onnx_files import FP32, write_files
from benchmarks.onnx_precision import (
    compare_precisions,
    detector_of,
    mean_precision,
    table_of,
)
from mmdet_metaanchor.datasets.coco import read_images

onnx = pytest.importorskip('onnx', reason='the export needs onnx')
pytest.importorskip('onnxruntime', reason='the export needs onnxruntime')


@pytest.fixture
def cfg(small_retinanet):
    return small_retinanet('retinanet')


# Of two classes with 2 of the 4 squares each: all found, or one class.
@pytest.mark.parametrize(('classes', 'expected'), [(2, 1.0), (1, 0.5)])
def test_mean_precision_is_that_of_the_detections(cfg, classes, expected):
    """Boxes in px of the resized image; each of them is given twice."""
    images = read_images(cfg, 'val')
    truth = {}
    for index in range(len(images)):
        item = images[index]
        instances = images.get_data_info(index)['instances']
        truth[item['inputs'].numpy().tobytes()] = (
            torch.tensor([one['bbox'] for one in instances])
            * torch.tensor(item['data_samples'].scale_factor).repeat(2),
            [one['bbox_label'] for one in instances],
        )

    def detect(pixels):
        boxes, labels = truth[pixels.numpy().tobytes()]
        scores = np.eye(2, dtype=np.float32)[labels] * 0.9
        scores[:, classes:] = 0
        return np.repeat(boxes.numpy(), 2, 0), np.repeat(scores, 2, 0)

    metrics = mean_precision(detect, images, cfg, cfg.model.test_cfg)
    assert metrics['mAP'] == pytest.approx(expected)


def test_files_of_all_precisions(cfg, tmp_path):
    model = MODELS.build(cfg.model).eval()
    files, _ = write_files(model, cfg, tmp_path)
    nodes = {name: onnx.load(path).graph.node for name, path in files.items()}
    convs = sum(node.op_type == 'Conv' for node in nodes[FP32])
    made = [node.output[0] for node in nodes['int8, calibrated']]
    for node in nodes['int8, calibrated']:
        if node.op_type == 'Conv':  # of input and kernel that are 8 bits
            kinds = [
                nodes['int8, calibrated'][made.index(name)].op_type
                for name in node.input[:2]
            ]
            assert kinds == ['DequantizeLinear'] * 2
    assert sum(n.op_type == 'Conv' for n in nodes['int8, calibrated']) == convs
    whole = [n.op_type for n in nodes['int8, dynamic']]
    assert whole.count('ConvInteger') == convs
    kept = onnx.load(files['fp16']).graph.initializer
    half = onnx.TensorProto.FLOAT16
    assert any(t.data_type == half and len(t.dims) == 4 for t in kept)
    pixels = read_images(cfg, 'val')[0]['inputs']
    found = {
        name: detector_of(path, {})(pixels) for name, path in files.items()
    }
    boxes, scores = found[FP32]
    for ours, theirs in found.values():
        assert ours.shape == boxes.shape
        # Scores of about 0.5: a few steps of 256 in a logit, times 1/4.
        np.testing.assert_allclose(theirs, scores, atol=0.03)


def test_a_detector_of_two_stages_is_refused(cfg, tmp_path):
    with pytest.raises(ValueError, match='one stage .* got Module'):
        compare_precisions(torch.nn.Module(), cfg, tmp_path, 1)


def test_table():
    row = dict(
        name='int8',
        bytes=2_340_000,
        seconds=0.0123,
        ratio=0.876,
        lowest=0.8,
        highest=0.9,
        metrics=dict(mAP=0.1234, mAP_50=0.5),
    )
    head, cells = table_of([row])
    assert len(head) == len(cells)
    assert cells == ['int8', '2.34', '12.3', '0.88', '12.3', '50.0']
