"""Reading what a config must know of a folder in COCO format."""

import json
from pathlib import Path


def read_classes(data_root: str) -> tuple[str, ...]:
    """Names of the classes of a folder with ``train.json``, ``val.json``.

    Args:
        data_root (str): The folder.

    Returns:
        tuple[str]: Names in the order of the files, which is the order of
        the labels in MMDetection's ``CocoDataset``.

    Raises:
        FileNotFoundError: A JSON file is missing.
        ValueError: A file lists no categories, or the two differ in them, so
            that labels would mean different classes in training and testing.
    """
    listed = {}
    for name in ('train.json', 'val.json'):
        path = Path(data_root) / name
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist; set DATA_ROOT to a folder that '
                'holds images/, train.json and val.json in COCO format'
            )
        content = json.loads(path.read_text())
        categories = isinstance(content, dict) and content.get('categories')
        if not categories:
            raise ValueError(f'{path} lists no COCO categories')
        listed[name] = [(c['id'], c['name']) for c in categories]
    if listed['train.json'] != listed['val.json']:
        raise ValueError(
            f'the categories of train.json and val.json in {data_root} '
            f'differ: {listed["train.json"]} and {listed["val.json"]}'
        )
    return tuple(name for _, name in listed['train.json'])
