"""The demo without its trainings: anchor sets, views, failing steps."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

from benchmarks.demo import job
from benchmarks.demo.twins import META
from benchmarks.demo.views import read_samples, read_view
from mmdet_metaanchor import customize_anchors

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='module')
def model():
    register_all_modules()
    cfg = Config.fromfile(ROOT / META.config)
    return MODELS.build(cfg.model).eval()


@pytest.mark.parametrize(
    ('name', 'per_cell'),
    [('1x1', 1), ('3x1', 3), ('5x5', 25), ('9x9', 81), ('px list', 4)],
)
def test_anchor_sets_fit_the_model(model, name, per_cell):
    sets = {anchor_set.name: anchor_set.anchors for anchor_set in job.OTHERS}
    customize_anchors(model, sets[name])
    assert model.bbox_head.prior_generator.num_base_priors == [per_cell] * 5


def test_pictured_sets_are_tested():
    names = [s.name for s in (job.TRAINED, *job.OTHERS)]
    assert len(set(names)) == len(names) >= 6
    assert set(job.PICTURED) <= set(names)


def make_item(path='some.jpg'):
    """A file of 160 x 120 px that the network sees at 320 x 240 px."""
    sample = DetDataSample(
        metainfo=dict(
            img_path=str(path),
            img_shape=(240, 320),
            ori_shape=(120, 160),
            scale_factor=(2.0, 2.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2, 3, 4]]), labels=torch.tensor([7])
    )
    image = torch.zeros(3, 240, 320, dtype=torch.uint8)
    return dict(inputs=image, data_samples=sample)


def test_view_is_in_px_of_the_file(model):
    shapes = [[(40 * 2**k, 20 * 2**k)] for k in range(5)]
    customize_anchors(model, shapes)
    view = read_view(model, [make_item(), make_item()])
    assert view.per_cell == 1
    assert len(view.detections) == 2
    for found in view.detections:
        assert found.corners.shape == (len(found.scores), 4)
    # The anchor of the middle level, 160 x 80 px, and, of the centres of its
    # cells, multiples of 32 px, the one nearest to (160, 120): (160, 128).
    # Both at half the scale.
    x1, y1, x2, y2 = view.anchors[0]
    assert (x2 - x1, y2 - y1) == (80, 40)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == (80, 64)


def test_samples_hold_the_truth(model, tmp_path):
    path = tmp_path / 'blue.png'
    image = np.zeros((120, 160, 3), np.uint8)
    image[..., 0] = 255  # OpenCV's order: blue, green, red
    cv2.imwrite(str(path), image)

    class Data:
        metainfo = dict(classes=tuple('0123456789'))

    [sample] = read_samples(Data(), [make_item(path)])
    assert sample.name == 'blue.png'
    assert sample.image[0, 0].tolist() == [0, 0, 255]  # red, green, blue
    assert sample.truth.corners.tolist() == [[1, 2, 3, 4]]
    assert sample.truth.labels.tolist() == [7]


@pytest.fixture
def log():
    log = io.StringIO()
    log.name = 'demo.log'
    return log


def test_a_failed_step_ends_in_one_line(log, capsys):
    with (
        pytest.raises(SystemExit) as error,
        job._step(3, 'Training', log),
    ):
        raise OSError('no space\nleft')
    assert error.value.code == (
        'demo: error in step 3 of 5, Training: no space left; log: demo.log'
    )
    assert 'Traceback' in log.getvalue()
    assert capsys.readouterr().out == '[3/5] Training\n'


def test_an_interrupt_says_how_to_go_on(log):
    with (
        pytest.raises(SystemExit, match='same command') as error,
        job._step(2, 'Training', log),
    ):
        raise KeyboardInterrupt
    assert '\n' not in error.value.code
