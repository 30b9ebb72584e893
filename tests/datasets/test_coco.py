"""Reading the classes of a folder, and the images of a split."""

import json

import pytest

from mmdet_metaanchor import CheckedCocoDataset
from mmdet_metaanchor.datasets.coco import read_classes, read_images


def write(root, **files):
    for name, content in files.items():
        (root / f'{name}.json').write_text(json.dumps(content))
    return str(root)


def categories(*pairs):
    return dict(categories=[dict(id=i, name=name) for i, name in pairs])


def test_order_of_the_file_not_of_the_ids(tmp_path):
    content = categories((7, 'b'), (3, 'a'))
    root = write(tmp_path, train=content, val=content)
    assert read_classes(root) == ('b', 'a')


def test_missing_file(tmp_path):
    root = write(tmp_path, train=categories((1, 'a')))
    with pytest.raises(FileNotFoundError, match='val.json.*DATA_ROOT'):
        read_classes(root)


@pytest.mark.parametrize('content', [[], {}, dict(categories=[])])
def test_not_coco(tmp_path, content):
    root = write(tmp_path, train=content, val=content)
    with pytest.raises(ValueError, match='train.json'):
        read_classes(root)


def test_splits_that_number_their_classes_differently(tmp_path):
    root = write(
        tmp_path,
        train=categories((1, 'a'), (2, 'b')),
        val=categories((1, 'b'), (2, 'a')),
    )
    with pytest.raises(ValueError, match='differ'):
        read_classes(root)


def test_broken_json_is_named(tmp_path):
    root = write(tmp_path, train=categories((1, 'a')))
    (tmp_path / 'val.json').write_text('{"categories": [')
    with pytest.raises(ValueError, match='val.json is not JSON'):
        read_classes(root)


def test_ids_that_repeat(tmp_path):
    content = categories((1, 'a'), (1, 'b'))
    root = write(tmp_path, train=content, val=content)
    with pytest.raises(ValueError, match='train.json: ids of its categories'):
        read_classes(root)


def test_images_to_search_on_are_checked(load_config, tiny_data):
    """Faulty boxes are left out, an image that is not there ends it."""
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    images = read_images(cfg, 'train')
    assert isinstance(images, CheckedCocoDataset)
    assert len(images) == 4
    assert images.faults == 'drop'
    cfg.train_dataloader.dataset.data_prefix.img = 'nowhere/'
    with pytest.raises(ValueError, match='4 of 4 images cannot be used'):
        read_images(cfg, 'train')


def test_images_in_wrappers_by_the_settings_of_their_split(
    load_config, tiny_data
):
    """As of SSD, whose training repeats its images."""
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    inside = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=5, dataset=dict(inside, indices=3)
    )
    cfg.test_dataloader.dataset.indices = 2
    images = read_images(cfg, 'train')
    assert len(images) == 3
    assert 'RandomFlip' not in str(images.pipeline)
    assert len(read_images(cfg, 'test')) == 2
    two = dict(type='ConcatDataset', datasets=[inside, inside])
    cfg.train_dataloader.dataset = two
    with pytest.raises(ValueError, match='is a ConcatDataset without an ann_'):
        read_images(cfg, 'train')
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='the config has no val_dataloader'):
        read_images(cfg, 'val')
