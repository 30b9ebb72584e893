"""Refusing grid configs that do not hold together, before anything is run."""

import re

from ..metrics import METRICS, RECALL
from .runs import CHOSEN


def check_grid(grid) -> None:
    """Check all parts of a :class:`.grid.Grid`.

    Raises:
        ValueError: A key is missing, a name is used and not defined, or a
            table does not hold together.
    """
    for name, variant in grid.variants.items():
        if not re.fullmatch(r'[\w.+-]+', name):
            raise ValueError(f'variant {name!r} cannot name a folder')
        _has(grid, variant, ('detector', 'data'), f'variant {name}')
        known(grid, 'detectors', variant['detector'], name)
        known(grid, 'data', variant['data'], name)
        if 'start' in variant:
            known(grid, 'variants', variant['start'], name)
            if 'start' in grid.variants[variant['start']]:
                raise ValueError(
                    f'{name!r} starts from {variant["start"]!r}, which has a '
                    f'start of its own, in {grid.path}'
                )
        elif not variant.get('trained', True):
            raise ValueError(
                f'{name!r} of {grid.path} is neither trained nor has it a '
                'start'
            )
    for name, data in grid.data.items():
        if 'make' in data and 'DIGITS_ROOT' not in data.get('env', {}):
            raise ValueError(
                f'data {name} of {grid.path} is to be made, and its env does '
                'not say where: DIGITS_ROOT'
            )
    for name in CHOSEN:
        if name in grid.anchors:
            raise ValueError(f'{name!r} cannot name anchors of {grid.path}')
    for name in grid.tables:
        _check_table(grid, name)
    if grid.pictures:
        _has(grid, grid.pictures, ('images', 'columns'), 'pictures')
        for cell in map(grid.cell, grid.pictures['columns'].values()):
            _check_cell(grid, cell)
            if cell.test.chooses and cell not in grid.cells():
                raise ValueError(
                    f'pictures of {grid.path} show anchors that a cell of a '
                    f'table has chosen, and none has {list(cell)}'
                )


def known(grid, key: str, name: str, user: str) -> None:
    """Refuse a name that a part of the config does not define."""
    names = getattr(grid, key)
    if name not in names:
        raise ValueError(
            f'{user!r} asks for {name!r}, which is not one of the {key} '
            f'of {grid.path}: {", ".join(map(str, names))}'
        )


def _check_table(grid, name: str) -> None:
    table = grid.tables[name]
    keys = ('title', 'columns', 'rows', 'check')
    _has(grid, table, keys, f'table {name}')
    if table.get('versus') not in (None, 'column', 'row'):
        raise ValueError(
            f"versus of table {name} must be 'column' or 'row', got "
            f'{table["versus"]!r}'
        )
    for label, *entries in table['rows']:
        if len(entries) != len(table['columns']):
            raise ValueError(
                f'row {label!r} of table {name} has {len(entries)} cells '
                f'for the columns {table["columns"]}'
            )
    rows = grid.rows(name)
    if len(rows) < len(table['rows']):
        raise ValueError(f'two rows of table {name} have the same label')
    for cells in rows.values():
        for cell in filter(None, cells):
            _check_cell(grid, cell)
    if grid.cell_to_check(name) is None:
        raise ValueError(f'table {name} has no cell {table["check"]} to check')


def _check_cell(grid, cell) -> None:
    known(grid, 'data', cell.test.data, cell.variant)
    if cell.test.anchors not in CHOSEN:
        known(grid, 'anchors', cell.test.anchors, cell.variant)
    if cell.metric not in METRICS and not cell.metric.startswith(RECALL):
        raise ValueError(
            f'a table of {grid.path} asks for {cell.metric!r} of '
            f'{cell.variant}; metrics are {", ".join(METRICS)}, and of '
            f'proposals {RECALL} and their number'
        )


def _has(grid, entry: dict, keys: tuple[str, ...], owner: str) -> None:
    missing = [key for key in keys if key not in entry]
    if missing:
        raise ValueError(f'{owner} of {grid.path} lacks {", ".join(missing)}')
