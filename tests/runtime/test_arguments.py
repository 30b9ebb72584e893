"""A typo in a config names the nearest right key, for every part of ours."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import mmdet.registry
import mmengine.registry
import pytest
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.registry import Registry

import mmdet_metaanchor
from mmdet_metaanchor.runtime.arguments import accepted, known_arguments

# Parts that the package does not import by itself, too.
for module in pkgutil.walk_packages(
    mmdet_metaanchor.__path__, mmdet_metaanchor.__name__ + '.'
):
    try:
        import_module(module.name)
    except ModuleNotFoundError:
        if 'playground' not in module.name:  # it needs an extra
            raise
REGISTRIES = {
    id(registry): registry
    for source in (mmengine.registry, mmdet.registry)
    for registry in vars(source).values()
    if isinstance(registry, Registry)
}
REGISTERED = [
    (registry, name)
    for registry in REGISTRIES.values()
    for name, module in registry.module_dict.items()
    if module.__module__.startswith(mmdet_metaanchor.__name__ + '.')
]


def test_the_list_of_parts_is_whole():
    """As many as the source registers; each in one registry."""
    source = '\n'.join(
        path.read_text()
        for path in Path(mmdet_metaanchor.__file__).parent.rglob('*.py')
    )
    assert len(REGISTERED) == len(re.findall(r'^@\w+\.register', source, re.M))


@pytest.mark.parametrize(('registry', 'name'), REGISTERED)
def test_every_part_refuses_what_it_does_not_know(registry, name):
    known = accepted(registry.get(name))
    typo = known[0][:-1] + known[0][-1] * 2
    with pytest.raises(TypeError) as error:
        registry.build({'type': name, typo: 1})
    assert f'{name} takes no argument {typo!r}' in str(error.value)
    assert f'the nearest is {known[0]!r}' in str(error.value)


@pytest.mark.parametrize(
    ('registry', 'cfg', 'right'),
    [
        (
            TASK_UTILS,
            dict(type='MetaAnchorGenerator', strides=[8], jiter=0.1),
            'jitter',
        ),
        (MODELS, dict(type='AnchorFunctionGenerator', rnak=8), 'rank'),
        # Of the stock head at the end of the chain.
        (
            MODELS,
            dict(type='MetaRetinaHead', stacked_conv=4),
            'stacked_convs',
        ),
    ],
)
def test_the_nearest_key_is_named(registry, cfg, right):
    with pytest.raises(TypeError, match=f"the nearest is '{right}'"):
        registry.build(cfg)


def test_a_typo_within_a_head_is_found(build_head):
    with pytest.raises(TypeError, match="the nearest is 'rank'"):
        build_head(anchor_function=dict(rnak=8))


def test_a_head_of_a_user_is_checked_too():
    class OwnHead(mmdet_metaanchor.MetaRetinaHead):
        pass

    with pytest.raises(TypeError, match="OwnHead .* 'box_function'"):
        OwnHead(box_funtion='scaled')


def test_arguments_go_on_as_far_as_the_chain_does():
    class Base:
        def __init__(self, a, b=2):
            self.values = a, b

    class Middle(Base):
        def __init__(self, *args, c, **kwargs):
            super().__init__(*args, **kwargs)
            self.c = c

    @known_arguments
    class Last(Middle):
        """Without a constructor of its own."""

    assert accepted(Last) == ['c', 'a', 'b']
    last = Last(1, b=3, c=4)
    assert (last.values, last.c) == ((1, 3), 4)
    with pytest.raises(TypeError, match="no argument 'bb'; .* 'b', of c, a"):
        Last(1, bb=3, c=4)
