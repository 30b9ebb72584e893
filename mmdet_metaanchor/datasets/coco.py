"""Data sets in COCO format: what a config must know, the images of a split."""

import copy
from pathlib import Path

from mmdet.datasets import CocoDataset
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.registry import DATASETS

from ..runtime.config_types import means
from .coco_json import read_coco
from .dataset_types import CHECKED


def read_classes(data_root: str) -> tuple[str, ...]:
    """Names of the classes of a folder with ``train.json``, ``val.json``.

    Args:
        data_root (str): The folder.

    Returns:
        tuple[str]: Names in the order of the files, which is the order of
        the labels in MMDetection's ``CocoDataset``.

    Raises:
        FileNotFoundError: A JSON file is missing.
        ValueError: A file is not COCO JSON or lists no categories, or the two
            differ in them, so that labels would mean different classes in
            training and testing.
    """
    listed = {}
    for name in ('train.json', 'val.json'):
        path = Path(data_root) / name
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist; set DATA_ROOT to a folder that '
                'holds images/, train.json and val.json in COCO format'
            )
        categories = read_coco(path, needed=['categories'])['categories']
        if not categories:
            raise ValueError(f'{path} lists no COCO categories')
        listed[name] = [(c['id'], c['name']) for c in categories]
    if listed['train.json'] != listed['val.json']:
        raise ValueError(
            f'the categories of train.json and val.json in {data_root} '
            f'differ: {listed["train.json"]} and {listed["val.json"]}'
        )
    return tuple(name for _, name in listed['train.json'])


def read_images(cfg: Config, split: str) -> CocoDataset:
    """The images of a split as the test pipeline gives them, and checked.

    Args:
        cfg (Config): Config of a detector.
        split (str): 'train', 'val' or 'test'.

    Raises:
        ValueError: The config has no such split, or its data set is made of
            several, or an image cannot be read.
    """
    for name in (f'{split}_dataloader', 'test_dataloader'):
        if not cfg.get(name):
            raise ValueError(f'the config has no {name}')
    wanted = cfg[f'{split}_dataloader'].dataset
    while 'dataset' in wanted:
        wanted = wanted.dataset
    if 'ann_file' not in wanted:
        raise ValueError(
            f'{split}_dataloader.dataset is a {wanted.type} without an '
            'ann_file of its own'
        )
    wanted = copy.deepcopy(wanted)
    wanted.update(pipeline=get_test_pipeline_cfg(cfg), test_mode=True)
    if means(wanted.type, CocoDataset):
        # Of a training split, too: boxes that a training drops do no harm.
        wanted.update(type=CHECKED, faults='drop')
    return DATASETS.build(wanted)
