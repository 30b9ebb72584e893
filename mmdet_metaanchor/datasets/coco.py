"""Data sets in COCO format: what a config must know, the images of a split."""

import copy
from pathlib import Path

from mmdet.datasets import CocoDataset
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
        ValueError: The data set of the split wraps others, or an image
            cannot be read.
    """
    source = cfg[f'{split}_dataloader'].dataset
    if 'ann_file' not in source:
        raise ValueError(
            f'{split}_dataloader.dataset is a {source.type} without an '
            'ann_file of its own'
        )
    wanted = copy.deepcopy(cfg.test_dataloader.dataset)
    for key in ('type', 'data_root', 'ann_file', 'data_prefix', 'metainfo'):
        if key in source:
            wanted[key] = source[key]
    if means(wanted.type, CocoDataset):
        # Of a training split, too: boxes that a training drops do no harm.
        wanted.update(type=CHECKED, faults='drop')
    return DATASETS.build(wanted)
