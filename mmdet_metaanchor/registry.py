"""The scope ``mmdet_metaanchor``: MMDetection's registries under our name.

Our modules are registered in MMDetection's own registries, so that a stock
config changes a type name and no prefix. But MMEngine builds what a config
takes from ``_base_ = 'mmdet_metaanchor::...'`` in the scope of that name, and
imports this module to find it.
"""

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry


class _Alias(Registry):
    """A registry that holds nothing: every look-up is its parent's."""

    def get(self, key: str) -> type | None:
        return self.parent.get(key)


for _registry in list(vars(mmdet_registry).values()):
    # mmdet.registry also imports MMEngine's, each the parent of one of its.
    if isinstance(_registry, Registry) and _registry.scope == 'mmdet':
        _Alias(_registry.name, parent=_registry, scope='mmdet_metaanchor')
