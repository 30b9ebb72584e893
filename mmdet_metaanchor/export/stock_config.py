"""A config without this package, which a stock detector can be built of."""

from collections.abc import Iterable, Iterator

from mmdet import registry as mmdet_registry
from mmengine.config import Config
from mmengine.registry import Registry

from ..datasets.dataset_types import PACKAGE

# What stands for one of ours in stock: its name, the argument that it does
# not have, and what its defaults differ by. The losses of a detector do not
# matter for what it detects.
STOCK_PARTS = {
    'CheckedCocoDataset': ('CocoDataset', 'faults', {}),
    'ExactEpochBasedTrainLoop': ('EpochBasedTrainLoop', None, {}),
    'ExactIterBasedTrainLoop': ('IterBasedTrainLoop', None, {}),
    'FiniteOptimWrapper': ('OptimWrapper', 'non_finite', {}),
    'ObjectnessLoss': (
        'CrossEntropyLoss',
        'noobj_weight',
        dict(use_sigmoid=True),
    ),
}
# Nothing stands for it, and no detector lacks it.
HOOK = 'AnchorCoverageHook'


def without_us(cfg: Config, modules: Iterable[str]) -> Config:
    """A copy that names this package nowhere.

    Data sets, loops, losses and the like become those of stock; our hook is
    left out, and so is the ``train_cfg`` of a model if stock has nothing for
    it.

    Args:
        cfg (Config): A config whose heads are stock's by now. It is not
            changed.
        modules (Iterable[str]): Names of other modules that import this
            package, and which the config is not to import, either.

    Returns:
        Config: Its types are texts, also those of a config in Python style.

    Raises:
        ValueError: It names something of ours that stock has nothing for.
    """
    content = cfg.to_dict()
    imports = content.pop('custom_imports', None) or dict(imports=[])
    names = imports['imports']
    names = [names] if isinstance(names, str) else names
    others = [
        name
        for name in names
        if name.split('.')[0] != PACKAGE and name not in modules
    ]
    if others:
        content['custom_imports'] = dict(imports, imports=others)
    content = _with_stock_types(content)
    left = [f'{place}.type={name!r}' for place, name in _ours(content)]
    if left:
        raise ValueError(
            f'stock has nothing for {", ".join(left)} of the config; leave it '
            'out of the config to bake without it'
        )
    return Config(content)


def _with_stock_types(part):
    """A part of a config, with stock's types in the places of ours."""
    if isinstance(part, (list, tuple)):
        kept = (one for one in part if _our_type(one) != HOOK)
        return type(part)(_with_stock_types(one) for one in kept)
    if not isinstance(part, dict):
        return part
    part = {
        key: _with_stock_types(value)
        for key, value in part.items()
        if key != 'backend_args' or value != dict(backend='whole')
    }
    # Of a detector and, once it was built, of its heads, too.
    if any(_ours(part.get('train_cfg'))):
        part['train_cfg'] = None  # stock can detect with it, not train
    name = _our_type(part)
    if name in STOCK_PARTS:
        kind, ours, defaults = STOCK_PARTS[name]
        part.pop(ours, None)
        part = {**defaults, **part, 'type': kind}
    return part


def _ours(part, place: str = '') -> Iterator[tuple[str, str]]:
    """Where something of this package is named in a config, and what."""
    name = _our_type(part)
    if name:
        yield place, name
    items = ()
    if isinstance(part, dict):
        items = part.items()
    elif isinstance(part, (list, tuple)):
        items = enumerate(part)
    for key, value in items:
        yield from _ours(value, f'{place}.{key}' if place else str(key))


def _our_type(part) -> str:
    """Name of the class that a part of a config is of, '' if not of ours."""
    kind = part.get('type') if isinstance(part, dict) else None
    if isinstance(kind, type):
        kind = f'{kind.__module__}.{kind.__name__}'
    if not isinstance(kind, str):
        return ''
    # 'Name', 'scope.Name' or 'package.module.Name'
    scope, _, name = kind.rpartition('.')
    ours = scope.split('.')[0] == PACKAGE
    if scope in ('', 'mmdet', 'mmengine'):
        ours = any(
            registry.module_dict[name].__module__.split('.')[0] == PACKAGE
            for registry in vars(mmdet_registry).values()
            if isinstance(registry, Registry) and name in registry.module_dict
        )
    return name if ours else ''
