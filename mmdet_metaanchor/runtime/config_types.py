"""What parts of a config mean: their ``type``, the test data set."""

from mmengine.config import Config
from mmengine.fileio import list_from_file


def means(kind: str | type | None, cls: type) -> bool:
    """Whether a ``type`` means a class of OpenMMLab's.

    It may be the name, the name with the scope of the package, or, in configs
    in Python style, the class. Nothing is imported or looked up.

    Args:
        kind (str | type | None): The ``type``.
        cls (type): The class, as ``mmdet.datasets.CocoDataset``.
    """
    scope = cls.__module__.partition('.')[0]
    return kind in (cls, cls.__name__, f'{scope}.{cls.__name__}')


def unwrapped(dataset: dict) -> dict:
    """The data set that wrappers hold; of several side by side, the first.

    Args:
        dataset (dict): Config of a data set, or of a wrapper.
    """
    while 'dataset' in dataset or dataset.get('datasets'):
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset


def read_metainfo(cfg: Config) -> dict:
    """What a config says of its test data, such as ``classes``.

    Args:
        cfg (Config): The config. Its ``metainfo`` may name a file that lists
            the classes, one per line.

    Returns:
        dict: Empty, where it says nothing.

    Raises:
        FileNotFoundError: That file is not there.
    """
    loader = cfg.get('test_dataloader') or {}
    meta = dict(unwrapped(loader.get('dataset') or {}).get('metainfo') or {})
    if isinstance(meta.get('classes'), str):  # a file, as MMEngine has it
        meta['classes'] = list_from_file(meta['classes'])
    return meta
