import copy
import json
import math

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config

from mmdet_metaanchor.anchors.boxes import (
    Boxes,
    read_boxes,
    read_detector_boxes,
)
from mmdet_metaanchor.anchors.cover import (
    cover,
    draw_cover,
    summarise_cover,
    unreached,
)

GENERATOR = dict(
    type='AnchorGenerator',
    strides=[8, 16, 32],
    scales=[2, 3],
    ratios=[0.5, 1.0, 2.0],
)


def random_boxes(number, width=100, height=60):
    rng = np.random.default_rng(0)
    size = np.exp(rng.uniform(1, 4, (number, 2)))
    middle = rng.uniform(0, (width, height), (number, 2))
    return Boxes(
        np.hstack([middle - size / 2, middle + size / 2]),
        np.tile([float(width), height], (number, 1)),
        size.prod(1),
        rng.integers(2, size=number),
        ['a.jpg'] * number,
        ['cat', 'dog'],
    )


@pytest.mark.parametrize('center_offset', [0.0, 0.5])
def test_equals_the_best_of_all_priors(center_offset):
    generator = TASK_UTILS.build(dict(GENERATOR, center_offset=center_offset))
    boxes = random_boxes(200)
    found = cover(boxes, generator)
    # 60 x 100 px: 8 x 13, 4 x 7 and 2 x 4 cells
    priors = generator.grid_priors([(8, 13), (4, 7), (2, 4)], device='cpu')
    dense = [
        bbox_overlaps(torch.from_numpy(boxes.boxes).float(), level).amax(1)
        for level in priors
    ]
    expected = torch.stack(dense).amax(0)
    np.testing.assert_allclose(found.iou, expected, atol=1e-5)
    of_level = torch.stack(dense)[found.level, torch.arange(200)]
    np.testing.assert_allclose(of_level, expected, atol=1e-5)


def test_summary_by_hand():
    # Anchors 16 x 16 at (0, 0), (8, 0), ...: the first box is one of them;
    # the second is 64 high and 16 wide: 16 * 16 / 16 * 64 = 0.25, and 64 is
    # 4 x 16, so that YOLOv5 does not reach it.
    generator = TASK_UTILS.build(
        dict(type='AnchorGenerator', strides=[8], scales=[2], ratios=[1.0])
    )
    boxes = Boxes(
        np.array([[0.0, 0, 16, 16], [8, 8, 24, 72]]),
        np.array([[100.0, 100], [100, 100]]),
        np.array([256.0, 1024]),
        np.array([0, 1]),
        ['a.jpg', 'b.jpg'],
        ['cat', 'dog', 'cow'],
    )
    found = cover(boxes, generator)
    np.testing.assert_allclose(found.iou, [1, 0.25])
    np.testing.assert_allclose(found.side_ratio, [1, 4])
    rows = {row['group']: row for row in summarise_cover(boxes, found)}
    assert set(rows) == {'all', 'small', 'medium', 'cat', 'dog'}
    assert rows['all'] == {
        'group': 'all',
        'boxes': 2,
        'iou_0.4': 0.5,
        'iou_0.5': 0.5,
        'iou_0.6': 0.5,
        'mean_iou': 0.625,
        'best_possible_recall': 0.5,
    }
    assert rows['small']['mean_iou'] == rows['cat']['mean_iou'] == 1
    (lost,) = unreached(boxes, found)
    assert lost == dict(
        file='b.jpg', class_name='dog', box=[8, 8, 24, 72], iou=0.25
    )


def test_picture(tmp_path):
    generator = TASK_UTILS.build(GENERATOR)
    boxes = random_boxes(20)
    draw_cover(tmp_path / 'p.png', boxes, cover(boxes, generator), generator)
    assert (tmp_path / 'p.png').read_bytes().startswith(b'\x89PNG')


COCO = dict(
    images=[dict(id=7, file_name='a.jpg', width=200, height=100)],
    categories=[dict(id=3, name='cat'), dict(id=9, name='dog')],
    annotations=[
        dict(id=1, image_id=7, category_id=9, bbox=[10, 20, 40, 60]),
        dict(id=2, image_id=7, category_id=3, bbox=[9, 9, 40, 60], iscrowd=1),
        dict(id=3, image_id=7, category_id=3, bbox=[10, 20, 0.5, 60]),
        dict(id=4, image_id=7, category_id=3, bbox=[300, 20, 40, 60]),
    ],
)
RESIZE = dict(type='Resize', scale=(100, 100), keep_ratio=True)


@pytest.mark.parametrize(
    'types',
    [
        ('LoadImageFromFile', 'mmdet.Resize', 'mmdet.PackDetInputs'),
        # As configs in MMEngine's pure Python style have them.
        (LoadImageFromFile, Resize, PackDetInputs),
    ],
)
def test_boxes_as_the_pipeline_resizes_them(tmp_path, types):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(COCO))
    load, resize, pack = types
    pipeline = [
        dict(type=load),
        dict(type=resize, scale=(100, 100), keep_ratio=True),
        dict(type=pack),
    ]
    boxes = read_boxes(path, pipeline)  # half the size
    assert boxes.boxes.tolist() == [[5, 10, 25, 40]]
    assert boxes.image_sizes.tolist() == [[100, 50]]
    assert boxes.areas.tolist() == [2400]
    assert boxes.labels.tolist() == [1]
    assert boxes.files == ['a.jpg']
    assert boxes.classes == ['cat', 'dog']
    assert read_boxes(path).boxes.tolist() == [[10, 20, 50, 80]]


def test_boxes_are_cut_at_the_border_as_in_training(tmp_path):
    """From -20 to 30 px in x, at half the size."""
    content = copy.deepcopy(COCO)
    content['annotations'][0]['bbox'] = [-20, 20, 50, 60]
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    boxes = read_boxes(path, [RESIZE])
    assert boxes.boxes.tolist() == [[0, 10, 15, 40]]
    assert read_boxes(path).boxes.tolist() == [[-20, 20, 30, 80]]


@pytest.mark.parametrize(
    'wrap',
    [
        lambda inside: inside,
        lambda inside: dict(type='RepeatDataset', dataset=inside),
        lambda inside: dict(type='ConcatDataset', datasets=[inside, inside]),
    ],
    ids=['alone', 'repeated', 'two'],
)
def test_boxes_of_a_test_set_in_wrappers_with_a_file_of_classes(
    tmp_path, wrap
):
    path, classes = tmp_path / 'boxes.json', tmp_path / 'classes.txt'
    path.write_text(json.dumps(COCO))
    classes.write_text('dog\ncat\n')
    inside = dict(
        type='CocoDataset',
        pipeline=[RESIZE],
        metainfo=dict(classes=str(classes)),
    )
    cfg = Config(dict(test_dataloader=dict(dataset=wrap(inside))))
    boxes = read_detector_boxes(cfg, path)
    assert boxes.boxes.tolist() == [[5, 10, 25, 40]]
    assert boxes.labels.tolist() == [0]


@pytest.mark.parametrize('content', [{}, dict(test_dataloader=None)])
def test_a_config_without_test_data(tmp_path, content):
    with pytest.raises(ValueError, match='the config has no test_dataloader'):
        read_detector_boxes(Config(content), tmp_path / 'boxes.json')


def test_boxes_of_the_classes_of_a_detector(tmp_path):
    """In their order, and without those that its training leaves out."""
    path = tmp_path / 'boxes.json'
    extra = [
        dict(id=i, image_id=7, category_id=3, bbox=[0, 0, *size], **area)
        for i, size, area in (
            (5, (10, 10), {}),
            (6, (20, 10), dict(area=150)),
            (7, (30, 10), dict(area=0)),
        )
    ]
    path.write_text(
        json.dumps(dict(COCO, annotations=COCO['annotations'] + extra))
    )
    cats = read_boxes(path, classes=['cat'])
    assert cats.classes == ['cat']
    assert cats.sizes.tolist() == [[10, 10], [20, 10]]
    assert cats.areas.tolist() == [100, 150]
    both = read_boxes(path, classes=('dog', 'cat'))
    assert both.labels.tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match='no boxes of the classes cow'):
        read_boxes(path, classes=['cow'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(image_id=77), 'has annotations of an image .*: 1 of 1 .ids 5'),
        (dict(category_id=77), 'has annotations of a category .*: 1 of 1'),
        (dict(category_id=[]), 'has annotations of a category .*: 1 of 1'),
        (dict(id=None), "annotations have no usable 'id'"),
    ],
)
def test_what_is_not_listed_is_named(tmp_path, changes, message):
    path = tmp_path / 'boxes.json'
    bad = dict(id=5, image_id=7, category_id=3, bbox=[1, 1, 5, 5])
    path.write_text(json.dumps(dict(COCO, annotations=[{**bad, **changes}])))
    with pytest.raises(ValueError, match=f'boxes.json.* {message}'):
        read_boxes(path)


def test_what_no_detector_can_learn_is_left_out_with_a_warning(
    tmp_path, monkeypatch
):
    """As in training: here a box below one px and one outside."""
    told = []
    monkeypatch.setattr(
        'mmdet_metaanchor.datasets.coco_faults.print_log',
        lambda message, **_: told.append(message.rpartition('json: ')[2]),
    )
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(COCO))
    assert read_boxes(path).boxes.tolist() == [[10, 20, 50, 80]]
    assert told == [
        'boxes below one px: 1 of 4 (ids 3): left out',
        'boxes outside of their image: 1 of 4 (ids 4): left out',
    ]
    bad = dict(COCO['annotations'][0], bbox=[math.nan, 20, 40, 60])
    path.write_text(json.dumps(dict(COCO, annotations=[bad])))
    with pytest.raises(ValueError, match='holds no boxes'):
        read_boxes(path)
    assert told[2:] == [
        'boxes that are not four finite numbers: 1 of 1 (ids 1): left out'
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'is not JSON'),
        ('[]', 'is not a COCO JSON'),
        ('{"images": []}', 'is not a COCO JSON'),
        (json.dumps(dict(COCO, annotations=[])), 'holds no boxes'),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / 'boxes.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'boxes.json.*{message}'):
        read_boxes(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.json'):
        read_boxes(tmp_path / 'none.json')
