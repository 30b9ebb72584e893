"""The README's code does what the README says."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from mmdet_metaanchor import export_onnx

README = Path(__file__).resolve().parents[1] / 'README.md'
# Two boxes of one digit, IoU 90 / 110 = 0.82, and one of another.
BOXES = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 80]])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the block that holds a word, on an ONNX file or given scores."""

    def run(word, scores=None):
        class Session:
            def __init__(self, path):
                assert path == 'stock.onnx'

            def run(self, outputs, inputs):
                assert inputs['images'].shape == (1, 3, 192, 256)
                assert inputs['images'].dtype == np.float32
                return BOXES[None], np.float32(scores)[None]

        if scores is not None:
            runtime = SimpleNamespace(InferenceSession=Session)
            monkeypatch.setitem(sys.modules, 'onnxruntime', runtime)
        monkeypatch.chdir(tmp_path)
        cv2.imwrite('image.jpg', np.zeros((48, 64, 3), np.uint8))
        blocks = re.findall('```python\n(.*?)```', README.read_text(), re.S)
        (block,) = (block for block in blocks if word in block)
        names = {}
        exec(block, names)
        return names

    return run


def test_boxes_of_an_onnx_file(run):
    """The worse one of two that overlap is suppressed, by class."""
    scores = [[0.9, 0.1], [0.8, 0.1], [0.1, 0.7]]
    found = run('onnxruntime', scores)
    assert sorted(found['keep']) == [0, 2]
    assert found['boxes'][found['keep']].shape == (2, 4)


def test_an_onnx_file_that_finds_nothing(run):
    found = run('onnxruntime', [[0.1, 0.1]] * 3)
    assert found['boxes'][found['keep']].shape == (0, 4)


# Scores of about 0.5 and of exp(-9) = 0.0001; the code keeps those above 0.3.
@pytest.mark.parametrize(('bias', 'finds'), [(0.0, True), (-9.0, False)])
def test_an_onnx_file_as_the_tool_writes_it(
    run, load_config, tmp_path, bias, finds
):
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=f'the export needs {package}')
    cfg = load_config('custom/retinanet_r18-w32_custom.py')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    torch.nn.init.constant_(model.bbox_head.retina_cls.bias, bias)
    export_onnx(model, tmp_path / 'stock.onnx', decode=True)
    found = run('onnxruntime')
    assert (len(found['keep']) > 0) == finds
    assert found['boxes'][found['keep']].shape == (len(found['keep']), 4)
