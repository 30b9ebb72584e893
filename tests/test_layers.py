"""Which part of the package may import which: arrows point down only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmdet_metaanchor'
# From the ground up: a part imports its own modules and those of floors below
# it, never those beside it or above.
FLOORS = (
    {'version', 'registry', 'runtime'},
    {'datasets'},
    {'method', 'published'},
    {'heads', 'anchors'},
    {'export'},
    {'playground'},
    {''},  # mmdet_metaanchor/__init__.py
)
FLOOR = {part: i for i, floor in enumerate(FLOORS) for part in floor}


def name_of(path: Path) -> tuple[str, ...]:
    """Dotted name of a module below the package, in parts."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return parts[:-1] if parts[-1] == '__init__' else parts


def arrows() -> dict[tuple, set[tuple]]:
    """For every module of the package those of the package it imports."""
    modules = {name_of(path): path for path in PACKAGE.rglob('*.py')}
    found = {}
    for name, path in modules.items():
        package = name if path.stem == '__init__' else name[:-1]
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not any(n.startswith(PACKAGE.name) for n in names)
                continue
            if not isinstance(node, ast.ImportFrom):
                continue
            if not node.level:
                assert not node.module.startswith(PACKAGE.name)
                continue
            base = package[: len(package) - node.level + 1]
            base += tuple(node.module.split('.')) if node.module else ()
            for alias in node.names:
                target = (*base, alias.name)
                found[name].add(target if target in modules else base)
    return found


@pytest.fixture(scope='module')
def graph():
    return arrows()


def test_every_module_has_a_floor(graph):
    parts = {(name or ('',))[0] for name in graph}
    assert parts == FLOOR.keys()
    # The root holds what has to be there, and folders.
    assert {path.name for path in PACKAGE.glob('*.py')} == {
        '__init__.py',
        'registry.py',
        'version.py',
    }


def test_no_arrow_points_upward_or_sideways(graph):
    for name, targets in graph.items():
        part = (name or ('',))[0]
        for target in targets:
            other = (target or ('',))[0]
            assert other == part or FLOOR[other] < FLOOR[part], (name, target)


def test_no_circle(graph):
    """Modules can be taken away, one that imports no other after another."""
    left = {name: targets - {name} for name, targets in graph.items()}
    while left:
        free = {name for name, targets in left.items() if not targets}
        assert free, f'a circle among {sorted(left)}'
        left = {
            name: targets - free
            for name, targets in left.items()
            if name not in free
        }


def test_the_benchmarks_are_not_imported():
    for folder in (PACKAGE, ROOT / 'tools'):
        for path in folder.rglob('*.py'):
            assert 'import benchmarks' not in path.read_text()
            assert 'from benchmarks' not in path.read_text()


def test_gradio_is_imported_by_the_page_alone():
    """It is an extra: the package, and what the page shows, do without."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob('*.py')
        if 'import gradio' in path.read_text()
    }
    assert found == {
        f'playground/{n}.py' for n in ('layout', 'page', 'server')
    }
