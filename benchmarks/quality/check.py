"""A reader's check: one cell of every table again, beside what is stated."""

from dataclasses import dataclass

from benchmarks import tables

from .figures import CONFIDENCE, expected_range, percent, tests_of
from .jobs import Jobs
from .records import Records
from .runs import Cell, Run


@dataclass
class Verdict:
    """A cell, what it was now, and where it should fall; in percent."""

    table: str
    row: str
    column: str
    stated: list[float]
    now: float

    @property
    def expected(self) -> tuple[float, float]:
        """tuple[float, float]: Range of :func:`expected_range`."""
        return expected_range(self.stated)

    @property
    def holds(self) -> bool:
        """bool: Whether it is in that range."""
        low, high = self.expected
        return low <= self.now <= high


def repeat_cells(stated: Records, anew: Jobs) -> list[Verdict]:
    """Train what one cell of every table needs, with a seed of its own.

    The seed is the one after the largest of the grid: a run that is stated
    could not fall outside of a range that was made from it.

    Args:
        stated (Records): Those of the grid.
        anew (Jobs): Where to put the new ones.

    Returns:
        list[Verdict]: One per table.

    Raises:
        ValueError: A cell has no spread, because fewer than two of its runs
            have ended.
        RuntimeError: A run failed.
    """
    grid = stated.grid
    cells = {name: grid.cell_to_check(name) for name in grid.tables}
    values = {name: _values(cell, stated) for name, cell in cells.items()}
    for name, found in values.items():
        if len(found) < 2:
            raise ValueError(
                f'{len(found)} runs of {cells[name].variant} have ended, and '
                f'the spread in table {name} takes at least 2'
            )
    tests = {}
    for cell in cells.values():
        tests.setdefault(cell.variant, []).append(cell.test)
    for variant in list(tests):
        start = grid.variants[variant].get('start')
        if start:
            tests.setdefault(start, [])
    seed = max(grid.seeds) + 1
    runs = {
        variant: Run(variant, seed, tuple(dict.fromkeys(wanted)))
        for variant, wanted in tests.items()
    }
    failures = anew.run(list(runs.values()))
    if failures:
        raise RuntimeError('; '.join(failures))
    verdicts = []
    for name, cell in cells.items():
        record = anew.records.read(runs[cell.variant])
        now = percent(record['tests'][str(cell.test)], cell.metric)
        verdicts.append(
            Verdict(name, *grid.tables[name]['check'], values[name], now)
        )
    return verdicts


def _values(cell: Cell, stated: Records) -> list[float]:
    """The metric, in percent, of the runs that have ended."""
    records = {
        seed: stated.read(Run(cell.variant, seed, (cell.test,)))
        for seed in stated.grid.seeds
    }
    ended = {s: record for s, record in records.items() if record is not None}
    return [
        percent(result, cell.metric)
        for result in tests_of(cell, ended).values()
    ]


def print_verdicts(verdicts: list[Verdict]) -> None:
    """Print what was stated, the range, and what came out.

    Also, how often at least one range is missed by chance, if the trainings
    were independent.
    """
    rows = [['table', 'row', 'column', 'stated', 'range', 'now', '']]
    for verdict in verdicts:
        low, high = verdict.expected
        rows.append(
            [
                verdict.table,
                verdict.row,
                verdict.column,
                ' '.join(f'{value:.1f}' for value in verdict.stated),
                f'{low:.1f} to {high:.1f}',
                f'{verdict.now:.1f}',
                'within' if verdict.holds else 'OUTSIDE',
            ]
        )
    tables.show(rows)
    missed = 1 - CONFIDENCE ** len(verdicts)
    print(
        f'A range holds {CONFIDENCE:.0%} of such trainings. At least one of '
        f'{len(verdicts)} is missed in up to {missed:.0%} of checks with '
        'nothing wrong.'
    )
