"""The data sets of a config become checked ones."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdet_metaanchor import CheckedCocoDataset
from mmdet_metaanchor.datasets.dataset_types import (
    CHECKED,
    use_checked_datasets,
)

ROOT = Path(__file__).resolve().parents[2]


def types(cfg):
    """Types of all data sets, by way of JSON: in their order."""
    found = []

    def look(part):
        if isinstance(part, dict):
            found.extend([part['type']] if 'type' in part else [])
            look(list(part.values()))
        elif isinstance(part, list):
            for one in part:
                look(one)

    look([cfg.train_dataloader, cfg.val_dataloader])
    return found


def config(kind='CocoDataset', **more):
    def plain():
        return dict(type=kind, ann_file='a.json')

    return Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='MultiImageMixDataset',
                    dataset=dict(
                        type='RepeatDataset',
                        dataset=dict(
                            type='ConcatDataset',
                            datasets=[
                                plain(),
                                dict(type='LVISV1Dataset'),
                                plain(),
                            ],
                        ),
                    ),
                )
            ),
            val_dataloader=dict(dataset=dict(plain(), faults='drop')),
            test_dataloader=None,
            # Not of a data loader.
            other=plain(),
            **more,
        )
    )


@pytest.mark.parametrize('kind', ['CocoDataset', 'mmdet.CocoDataset'])
def test_plain_ones_alone_and_in_wrappers(kind):
    cfg = config(kind)
    use_checked_datasets(cfg)
    checked = 'mmdet.CheckedCocoDataset'
    expected = [
        'MultiImageMixDataset',
        'RepeatDataset',
        'ConcatDataset',
        checked,
        'LVISV1Dataset',
        checked,
        checked,
    ]
    assert types(cfg) == expected
    assert cfg.other.type == kind
    assert cfg.val_dataloader.dataset.faults == 'drop'


def test_a_class_in_the_place_of_a_name():
    cfg = config()
    cfg.val_dataloader.dataset.type = CocoDataset
    use_checked_datasets(cfg)
    assert cfg.val_dataloader.dataset.type == 'mmdet.CheckedCocoDataset'


def test_the_type_is_found_without_a_default_scope(monkeypatch):
    """Configs in MMEngine's pure Python style have none."""
    monkeypatch.setattr(DefaultScope, 'get_current_instance', lambda: None)
    assert DATASETS.get(CHECKED) is CheckedCocoDataset


@pytest.mark.parametrize(
    ('before', 'after'),
    [
        ({}, ['mmdet_metaanchor']),
        (dict(custom_imports=dict(imports='mine')), 'mine mmdet_metaanchor'),
        (
            dict(custom_imports=dict(imports=['mmdet_metaanchor', 'mine'])),
            'mmdet_metaanchor mine',
        ),
    ],
)
def test_the_config_imports_what_it_names(before, after):
    cfg = config(**before)
    use_checked_datasets(cfg)
    if isinstance(after, str):
        after = after.split()
    assert cfg.custom_imports.imports == after


def test_others_are_left_alone():
    """But the config may name other parts of ours, as of a training."""
    content = dict(train_dataloader=dict(dataset=dict(type='VOCDataset')))
    cfg = Config(content)
    use_checked_datasets(cfg)
    imports = dict(imports=['mmdet_metaanchor'])
    assert cfg.to_dict() == dict(content, custom_imports=imports)


TRAINING = """
train_cfg = dict(max_epochs=1, val_interval=9)
visualizer = dict(name='{name}')
{loaders}
"""


@pytest.fixture
def run(tmp_path, tiny_config, monkeypatch, capfd):
    """Run a tool on 20 images, of which one is truncated."""
    (tmp_path / 'images').mkdir()
    picture = np.full((64, 96, 3), 99, np.uint8)
    picture[20:50, 30:60] = 255
    images, annotations = [], []
    for i in range(1, 21):
        name = f'{i}.jpg'
        cv2.imwrite(str(tmp_path / 'images' / name), picture)
        images.append(dict(id=i, file_name=name, width=96, height=64))
        box = dict(bbox=[30, 20, 30, 30], area=900, iscrowd=0)
        annotations.append(dict(id=i, image_id=i, category_id=1, **box))
    path = tmp_path / 'images' / '7.jpg'
    path.write_bytes(path.read_bytes()[:400])
    categories = [dict(id=1, name='square')]
    for split, part in (('train', images), ('val', images[:1])):
        (tmp_path / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=part,
                    annotations=annotations[: len(part)],
                    categories=categories,
                )
            )
        )
    monkeypatch.setenv('DATA_ROOT', str(tmp_path))
    config = ROOT / 'configs/custom/meta-retinanet_r18-w32_custom.py'
    loaders = [
        f'{split}_dataloader = dict('
        'batch_size=4, num_workers=0, persistent_workers=False)'
        for split in ('train', 'val', 'test')
    ]
    file = tmp_path / 'tiny.py'
    file.write_text(
        tiny_config(config=config)
        + TRAINING.format(name=tmp_path.name, loaders='\n'.join(loaders))
    )

    def run(name, *words):
        path = ROOT / 'tools' / name
        words = [path, file, *words, '--work-dir', tmp_path / 'work']
        monkeypatch.setattr(sys, 'argv', list(map(str, words)))
        runpy.run_path(str(path), run_name='__main__')
        return ''.join(capfd.readouterr())

    return run


def test_training_goes_on_without_an_image_and_a_test_does_not(run, tmp_path):
    log = run('train.py')
    (line,) = [one for one in log.splitlines() if 'cannot be used' in one]
    assert 'train.json: 1 of 20 images cannot be used' in line
    assert '7.jpg is truncated, damaged or no image: left out' in line
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    (tmp_path / 'images' / '1.jpg').write_bytes(b'')
    with pytest.raises(SystemExit) as end:
        run('test.py', checkpoint)
    assert end.value.code.startswith('test.py: error: ')
    assert 'val.json: 1 of 1 images cannot be used' in end.value.code
    assert end.value.code.endswith('images/1.jpg is empty')


@pytest.mark.parametrize('split', ['train', 'val'])
def test_training_stops_in_one_line(run, tmp_path, split):
    """By choice, or because of what would be evaluated."""
    options = []
    if split == 'val':
        (tmp_path / 'images/1.jpg').unlink()
    else:
        options = ['--cfg-options', 'train_dataloader.dataset.faults=stop']
    with pytest.raises(SystemExit) as end:
        run('train.py', *options)
    number = dict(train='7', val='1')[split]
    assert f'{split}.json: 1 of ' in end.value.code
    assert f'images/{number}.jpg ' in end.value.code
    assert '\n' not in end.value.code
