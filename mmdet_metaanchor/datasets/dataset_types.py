"""Which data sets of a config are checked."""

from collections.abc import Iterator

from mmdet.datasets import CocoDataset
from mmengine.config import Config

from ..runtime.config_types import means
from .checked_coco import CheckedCocoDataset

PACKAGE = 'mmdet_metaanchor'
# With the scope: in configs in Python style there is no default one.
CHECKED = f'mmdet.{CheckedCocoDataset.__name__}'


def use_checked_datasets(cfg: Config) -> None:
    """Check the data of a config: its ``CocoDataset`` become ours.

    Those inside of wrappers, too; data sets of other types stay as they are.
    The config then imports this package, of which it names parts, so that
    it can be read again.

    Args:
        cfg (Config): The config, which is changed.
    """
    for dataset in _datasets_of(cfg):
        if means(dataset.get('type'), CocoDataset):
            dataset['type'] = CHECKED
    imports = cfg.get('custom_imports') or dict(imports=[])
    names = imports['imports']
    names = [names] if isinstance(names, str) else list(names)
    if PACKAGE not in names:
        cfg.custom_imports = dict(imports, imports=[*names, PACKAGE])


def _datasets_of(cfg: Config) -> Iterator[dict]:
    # Not the items: those of a config in Python style would be imported.
    for name in cfg:
        if name.endswith('_dataloader'):
            yield from _with_wrapped(cfg[name])


def _with_wrapped(part) -> Iterator[dict]:
    """It, if it is a config, and the data sets that it wraps."""
    if isinstance(part, dict):
        yield part
        for key in ('dataset', 'datasets'):
            yield from _with_wrapped(part.get(key))
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from _with_wrapped(one)
