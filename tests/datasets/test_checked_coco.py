"""Dirty annotations are left out or refused; beside it, what stock does."""

import math
import re

import pytest
import torch
from mmdet.evaluation import CocoMetric

NAN, INF = math.nan, math.inf
STOCK = 'CocoDataset'
FILTERS = (None, dict(filter_empty_gt=True, min_size=64))

# Changes of an annotation, what the log calls it, and what stock makes of it:
# 'silent', it trains on the rest without a word; 'learnt', on it, too; or an
# error that names neither file nor annotation.
FAULTS = {
    'unknown image': (dict(image_id=77), 'of an image that', 'silent'),
    'image of no id': (dict(image_id=None), 'of an image that', 'silent'),
    'unknown category': (dict(category_id=77), 'of a category', 'silent'),
    'NaN': (dict(bbox=[NAN, 5, 9, 9]), 'four finite numbers', 'silent'),
    'infinite': (dict(bbox=[5, 5, INF, 9]), 'four finite numbers', 'learnt'),
    'beyond float32': (dict(bbox=[5, 5, 9, 1e39]), 'four finite', 'learnt'),
    'three numbers': (dict(bbox=[5, 5, 9]), 'four finite', ValueError),
    'text': (dict(bbox=['5', 5, 9, 9]), 'four finite numbers', TypeError),
    'no box': (dict(bbox=None), 'four finite numbers', TypeError),
    'zero width': (dict(bbox=[5, 5, 0, 9]), 'without a positive', 'silent'),
    'negative': (dict(bbox=[15, 5, 9, -4]), 'without a positive', 'silent'),
    'outside': (dict(bbox=[96, 5, 9, 9]), 'outside of their', 'silent'),
    'left of it': (dict(bbox=[-9, 5, 9, 9]), 'outside of their', 'silent'),
    'area zero': (dict(area=0), 'area is not positive', 'silent'),
    'area NaN': (dict(area=NAN), 'area is not positive', 'learnt'),
    'below one px': (dict(bbox=[5, 5, 0.9, 9]), 'below one px', 'silent'),
    'repeated': (
        dict(bbox=[50.5, 10.25, 20, 30]),
        'repeat another, box and all',
        'learnt',
    ),
}
# What an evaluation goes on with.
TOLERATED = ('below one px', 'repeated')


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('filter_cfg', FILTERS)
def test_clean_data_is_stocks(dirty, filter_cfg, test_mode):
    """Crowds only, no annotations, boxes over the border, other classes."""
    kwargs = dict(filter_cfg=filter_cfg, test_mode=test_mode)
    stock = dirty.targets(STOCK, **kwargs)
    assert dirty.targets(faults='stop', **kwargs) == stock
    assert dirty.targets(**kwargs) == stock
    assert not dirty.told
    # Of 6 images those of the classes are 1, 2, 3 and, of a crowd, 4.
    assert len(stock) == (4 if filter_cfg and not test_mode else 6)


def test_boxes_over_the_border_are_clipped_by_the_pipeline(dirty):
    """As stock does: the data set keeps them, Resize cuts them."""
    load, read, pack = dirty.build().pipeline.transforms
    pipeline = [load, read, dict(type='Resize', scale=(96, 64)), pack]
    for kind in (STOCK, 'CheckedCocoDataset'):
        dataset = dirty.build(kind, pipeline=pipeline)
        assert dataset.get_data_info(2)['instances'][0]['bbox'] == [
            *(-20, -10),
            *(180, 80),
        ]
        boxes = dataset[2]['data_samples'].gt_instances.bboxes
        assert boxes.tensor.tolist() == [[0, 0, 96, 64]]


@pytest.mark.parametrize('name', FAULTS)
def test_a_faulty_annotation(dirty, name):
    changes, kind, of_stock = FAULTS[name]
    clean = dirty.targets(STOCK)
    dirty.add(**changes)
    message = f'boxes.json.*{kind}.*: 1 of 8 .ids 50.'
    # Training: one warning, and the other targets are untouched.
    assert dirty.targets() == clean
    (warning,) = dirty.told
    assert re.search(f'{message}: left out$', warning)
    with pytest.raises(ValueError, match=message):
        dirty.build(faults='stop')
    # Testing: an error, as a metric would count it; some are only warned of.
    dirty.told.clear()
    if name in TOLERATED:
        dirty.build(test_mode=True)
        (warning,) = dirty.told
        assert re.search(f'{message}: kept$', warning)
    else:
        with pytest.raises(ValueError, match=f"{message}.*faults='drop'"):
            dirty.build(test_mode=True)
        assert dirty.targets(test_mode=True, faults='drop') == clean
    if of_stock == 'silent':
        assert dirty.targets(STOCK) == clean
    elif of_stock == 'learnt':
        assert len(dirty.targets(STOCK)[0]['instances']) == 3
    else:
        with pytest.raises(of_stock) as error:
            dirty.build(STOCK)
        assert 'boxes.json' not in str(error.value)


def test_all_faults_at_once(dirty):
    for number, name in enumerate(FAULTS):
        dirty.add(**FAULTS[name][0], id=100 + number)
    kinds = {kind for _, kind, _ in FAULTS.values()}
    assert len(dirty.build()) == 6
    assert len(dirty.told) == 8
    with pytest.raises(ValueError, match='Mend it') as error:
        dirty.build(faults='stop')
    assert all(kind in str(error.value) for kind in kinds)


def test_many_are_counted_and_the_first_named(dirty):
    for number in range(60, 67):
        dirty.add(id=number, image_id=8)
    dirty.build()
    (warning,) = dirty.told
    assert '7 of 14 (ids 60, 61, 62, 63, 64 and 2 more)' in warning


def test_no_annotation_is_left(dirty):
    for entry in dirty.annotations:
        entry['bbox'] = [0.1, 0.2, 0.3, 0.1]  # in shares of the image
    with pytest.raises(ValueError, match='no annotation that can be used'):
        dirty.build()
    assert not any(image['instances'] for image in dirty.targets(STOCK))


def test_one_box_and_two_masks_are_two_objects(dirty):
    dirty.annotations[1]['segmentation'] = [[50, 10, 70, 10, 70, 40]]
    dirty.add(
        bbox=dirty.annotations[1]['bbox'],
        segmentation=[[50, 10, 50, 40, 70, 40]],
    )
    assert dirty.targets(faults='stop') == dirty.targets(STOCK)


def test_without_area_and_iscrowd(dirty):
    """Training needs neither; a test would end when all is detected."""
    clean = dirty.targets(STOCK)
    del dirty.annotations[0]['area'], dirty.annotations[2]['iscrowd']
    assert dirty.targets() == clean
    assert not dirty.told
    with pytest.raises(ValueError, match='without area.*2 of 7 .ids 1, 3'):
        dirty.build(test_mode=True)
    with pytest.raises(KeyError, match="^'area'$"):
        dirty.build(STOCK)


def test_ids_that_evaluations_cannot_work_with(dirty):
    dirty.annotations[0]['id'] = 0
    dirty.build(test_mode=True)
    (warning,) = dirty.told
    assert 'annotations of id 0' in warning
    dirty.annotations[0]['id'] = 'a'
    with pytest.raises(ValueError, match='a number as id.*ids a'):
        dirty.build(test_mode=True)


def test_another_word_is_refused(dirty):
    with pytest.raises(ValueError, match="'drop' or 'stop', got 'skip'"):
        dirty.build(faults='skip')


@pytest.mark.parametrize('spoilt', [False, True])
def test_what_a_metric_makes_of_it(dirty, spoilt):
    """Everything is detected, and a NaN box makes the mAP 0.83."""
    del dirty.annotations[3]['ignore']  # which COCO does not look at
    if spoilt:
        dirty.add(bbox=[NAN] * 4, image_id=3, category_id=7)
        with pytest.raises(ValueError, match='four finite numbers'):
            dirty.build(test_mode=True)
    dirty.write()
    metric = CocoMetric(ann_file=str(dirty.root / 'boxes.json'))
    metric.dataset_meta = dict(classes=('odd', 'even'))
    for data in dirty.targets(test_mode=True, faults='drop'):
        found = [i for i in data['instances'] if not i['ignore_flag']]
        boxes = torch.tensor([i['bbox'] for i in found]).reshape(-1, 4)
        labels = torch.tensor([i['bbox_label'] for i in found])
        metric.process(
            {},
            [
                dict(
                    img_id=data['img_id'],
                    ori_shape=(64, 96),
                    pred_instances=dict(
                        bboxes=boxes,
                        scores=torch.ones(len(found)),
                        labels=labels.long(),
                    ),
                )
            ],
        )
    # Two of now three objects of 'odd': precision 1 at the 67 of 101 recalls
    # up to 2 / 3, and 0 beyond.
    expected = (67 / 101 + 1) / 2 if spoilt else 1
    got = metric.evaluate(6)['coco/bbox_mAP']
    assert got == pytest.approx(expected, abs=1e-3)
