"""Browsing anchors: laws of what is shown, and the tool."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config

from mmdet_metaanchor import customize_anchors, write_anchors
from mmdet_metaanchor.anchors.browse import browse_anchors, job
from mmdet_metaanchor.anchors.browse.views import (
    cell_anchors,
    spread_anchors,
    view_each,
    view_set,
)

ROOT = Path(__file__).resolve().parents[2]
STRIDES = (8, 16, 32, 64, 128)
LISTED = [[(2.5 * s, 4 * s), (6 * s, 3 * s)] for s in STRIDES]
GRID = dict(
    type='MetaAnchorGenerator',
    octave_base_scale=2,
    scales_per_octave=9,
    ratios=[5 ** (k / 4) for k in range(-4, 5)],
    strides=list(STRIDES),
)
NAMES = ['cell_0.png', 'each_0.png', 'sets_0.png']
CONFIGS = ROOT / 'configs' / 'custom'
TOOL = ROOT / 'tools' / 'browse_anchors.py'


@pytest.fixture
def model(load_config):
    """A small MetaAnchor RetinaNet whose priors differ, as MMDetection's."""
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    cfg.model.test_cfg.score_thr = 0.0
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    for part in (model.bbox_head.retina_cls, model.bbox_head.retina_reg):
        torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
    model.cfg, model.dataset_meta = cfg, dict(classes=('odd', 'even'))
    return model.eval()


@pytest.fixture
def image(tiny_data):
    return tiny_data / 'images' / '0.png'  # 96 x 64 px


@pytest.fixture
def item(model, image):
    """The image as the test pipeline gives it, at 320 x 213 px."""
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    return pipeline(dict(img_path=str(image), img_id=0))


def assert_detects(view, model, image):
    """That a model detects what was seen, and that this is something."""
    found = inference_detector(model, str(image)).pred_instances.numpy()
    assert len(view.detections.corners) == len(found) > 0
    for seen, real in zip(
        view.detections[:3],
        (found.bboxes, found.labels, found.scores),
        strict=True,
    ):
        np.testing.assert_allclose(seen, real, rtol=1e-5, atol=1e-3)


def test_an_anchor_alone_detects_what_a_model_with_it_does(model, item, image):
    alone = view_each(model, item, None, score_thr=0.0)
    assert list(alone) == list(range(9))
    trained = model.cfg.model.bbox_head.anchor_generator
    for index, ratio in ((0, 0.5), (4, 1.0)):
        # the 3 scales of ratio 0.5, then those of ratio 1
        cfg = model.cfg.copy()
        cfg.model.bbox_head.anchor_generator = dict(
            type='MetaAnchorGenerator',
            strides=list(STRIDES),
            scales=[trained.octave_base_scale * 2 ** (index % 3 / 3)],
            ratios=[ratio],
        )
        one = MODELS.build(cfg.model).eval()
        one.load_state_dict(model.state_dict())
        one.cfg = cfg
        assert_detects(alone[index], one, image)
    some, other = alone[0].detections.scores, alone[4].detections.scores
    assert len(some) != len(other) or not np.allclose(some, other)


def test_an_anchor_alone_stays_where_its_set_places_it(model, item, image):
    middle = dict(
        type='YOLOAnchorGenerator', base_sizes=LISTED, strides=list(STRIDES)
    )
    alone = view_each(model, item, middle, score_thr=0.0)
    assert alone[1].sizes.tolist() == [[6 * s, 3 * s] for s in STRIDES]
    customize_anchors(
        model, dict(middle, base_sizes=[level[1:] for level in LISTED])
    )
    assert_detects(alone[1], model, image)


@pytest.mark.parametrize('anchors', [None, LISTED])
def test_a_set_detects_what_a_model_with_it_does(model, item, image, anchors):
    view = view_set(model, item, anchors, score_thr=0.0)
    if anchors is not None:
        customize_anchors(model, anchors)
    assert_detects(view, model, image)


def test_only_detections_above_the_threshold(model, item):
    everything = view_set(model, item, None, 0.0).detections.scores
    middle = float(np.median(everything))
    some = view_set(model, item, None, middle).detections.scores
    assert sorted(some) == sorted(everything[everything > middle])


@pytest.mark.parametrize('scale', [(1.0, 1.0), (2.0, 0.5)])
def test_anchors_of_a_cell_in_px_of_the_image(scale):
    generator = TASK_UTILS.build(
        dict(
            type='MetaAnchorGenerator',
            shapes=LISTED,
            strides=list(STRIDES),
            center_offset=0.5,
        )
    )
    levels = cell_anchors(generator, (240, 320), scale)
    for corners, sizes, stride in zip(levels, LISTED, STRIDES, strict=True):
        corners = corners * np.tile(scale, 2)  # as resized
        np.testing.assert_allclose(corners[:, 2:] - corners[:, :2], sizes)
        centers = (corners[:, 2:] + corners[:, :2]) / 2
        # the middle of a cell, and no other is nearer to (160, 120)
        np.testing.assert_allclose(centers % stride, stride / 2)
        assert (np.abs(centers - (160, 120)) <= stride / 2).all()


def test_few_anchors_are_all_looked_at():
    generator = TASK_UTILS.build(
        dict(type='MetaAnchorGenerator', shapes=LISTED, strides=[8] * 5)
    )
    assert spread_anchors(generator) == [0, 1]


def test_many_anchors_are_thinned_out_evenly():
    generator = TASK_UTILS.build(GRID)
    chosen = spread_anchors(generator)
    assert len(set(chosen)) == 25
    areas = generator.base_shapes[0].prod(1)
    assert areas[chosen].min() == pytest.approx(areas.min().item())
    assert areas[chosen].max() == pytest.approx(areas.max().item())
    # 9 scales over 25 of 81 anchors: 2 or 3 of each
    _, counts = (areas[chosen].log() * 100).round().unique(return_counts=True)
    assert len(counts) == 9
    assert set(counts.tolist()) == {2, 3}


def test_levels_of_different_numbers():
    shapes = [[(20, 20)], [(40, 40), (40, 20)], *LISTED[2:]]
    generator = TASK_UTILS.build(
        dict(type='MetaAnchorGenerator', shapes=shapes, strides=list(STRIDES))
    )
    assert spread_anchors(generator) == [0]


def test_pictures(model, image, tmp_path):
    before = model.bbox_head.prior_generator
    files = browse_anchors(
        model, [image], tmp_path / 'new', dict(a=LISTED, b=LISTED), 0.0
    )
    assert [file.name for file in files] == NAMES
    for file in files:
        assert cv2.imread(str(file)).std() > 0
    assert model.bbox_head.prior_generator is before


@pytest.mark.parametrize('place', ['savefig', 'predict'])
def test_the_model_keeps_its_anchors_when_it_fails(
    model, image, tmp_path, monkeypatch, place
):
    def fail(*args, **kwargs):
        raise MemoryError

    if place == 'savefig':
        monkeypatch.setattr(Figure, 'savefig', fail)
    else:
        monkeypatch.setattr(model, 'predict', fail)
    before = model.bbox_head.prior_generator
    with pytest.raises(MemoryError):
        browse_anchors(model, [image], tmp_path, dict(listed=LISTED))
    assert model.bbox_head.prior_generator is before
    assert model.bbox_head.num_base_priors == 9
    assert not list(tmp_path.iterdir())


def test_classes_of_a_checkpoint_that_names_none(model, image, tmp_path):
    del model.dataset_meta
    squares = [[(s, s)] for s in STRIDES]
    browse_anchors(model, [image], tmp_path, dict(one=squares), 0.0)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    'name',
    [
        'meta_ssd/meta-ssd',
        'meta_yolov3/meta-yolov3',
        'meta_faster_rcnn/meta-rpn',
        'meta_faster_rcnn/meta-faster-rcnn',
    ],
)
def test_other_detectors(load_config, image, tmp_path, monkeypatch, name):
    cfg = load_config(f'{name}_r18-w32_digits.py')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    model.cfg = cfg
    shown = []
    monkeypatch.setattr(job, 'draw_sets', lambda *args: shown.append(args))
    monkeypatch.setattr(job, 'draw_each', lambda *_: None)  # 100 boxes each
    browse_anchors(model, [image], tmp_path, score_thr=0.0)
    ((_, _, views, classes),) = shown
    (as_trained,) = views.values()
    proposes = name.endswith('rpn')
    assert classes[0] == ('object' if proposes else 'class 0')
    sample = inference_detector(model, str(image))
    expected = sample.pred_instances[sample.pred_instances.scores > 0]
    assert len(as_trained.detections.labels) == len(expected)


@pytest.mark.parametrize('threshold', [-0.1, 1.0, float('nan')])
def test_refuses_a_threshold(model, image, tmp_path, threshold):
    with pytest.raises(ValueError, match=f'score_thr.*{threshold}'):
        browse_anchors(model, [image], tmp_path, score_thr=threshold)


def test_refuses_images_that_would_share_a_picture(model, image, tmp_path):
    other = tmp_path / '0.jpg'
    cv2.imwrite(str(other), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match='0.png and .*0.jpg'):
        browse_anchors(model, [image, other], tmp_path)


@pytest.fixture
def site(model, tmp_path, tiny_data):
    """A folder with checkpoints and files that are no images."""
    meta = dict(dataset_meta=model.dataset_meta)
    torch.save(
        dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'meta.pth'
    )
    stock = Config.fromfile(CONFIGS / 'retinanet_r18-w32_custom.py')
    state = MODELS.build(stock.model).state_dict()
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'stock.pth')
    state = {k: v for k, v in state.items() if 'bbox_head' not in k}
    torch.save(state, tmp_path / 'headless.pth')
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.jpg').touch()
    write_anchors(tmp_path / 'listed.json', LISTED)
    return tmp_path


def test_tool(site, tiny_data, image):
    done = subprocess.run(
        [
            sys.executable,
            TOOL,
            CONFIGS / 'meta-retinanet_r18-w32_custom.py',
            'meta.pth',
            image,
            '--out-dir',
            'out',
            '--anchors',
            'listed.json',
            "{'scales': [4.0], 'ratios': [1.0]}",
            '--score-thr',
            '0.0',
        ],
        cwd=site,
        env=dict(
            os.environ,
            DATA_ROOT=str(tiny_data),
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='',
        ),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in (site / 'out').iterdir()) == NAMES
    assert [Path(f).name for f in done.stdout.splitlines()[-3:]] == NAMES
    assert 'images: 100%' in done.stderr  # progress


@pytest.mark.parametrize(
    ('kind', 'words', 'message'),
    [
        ('retinanet', ['stock.pth', 'IMAGE'], 'no MetaAnchor head'),
        ('meta-retinanet', ['headless.pth', 'IMAGE'], 'does not fit'),
        ('meta-retinanet', ['no.pth', 'IMAGE'], 'no.pth does not exist'),
        ('meta-retinanet', ['meta.pth', 'no.jpg'], 'no.jpg does not exist'),
        ('meta-retinanet', ['meta.pth', 'text.jpg'], 'text.jpg is not an'),
        ('meta-retinanet', ['meta.pth', 'empty.jpg'], 'empty.jpg is not an'),
        ('meta-retinanet', ['meta.pth', 'IMAGE', '--anchors', '3x3'], '3x3'),
        (
            'meta-retinanet',
            ['meta.pth', 'IMAGE', '--anchors', '[[(9, 9)]]'],
            '5 strides',
        ),
    ],
)
def test_bad_input_ends_in_one_line(
    site, image, monkeypatch, fail, kind, words, message
):
    words = [image if word == 'IMAGE' else word for word in words]
    config = CONFIGS / f'{kind}_r18-w32_custom.py'
    monkeypatch.chdir(site)
    assert message in fail('browse_anchors.py', config, *words)
    assert not (site / 'work_dirs').exists()
