"""Numbers of a table: means over seeds, paired differences, intervals."""

import statistics
from collections.abc import Sequence

from scipy.stats import t

from .grid import Grid
from .runs import Cell

CONFIDENCE = 0.95


def mean_and_spread(values: dict[int, float]) -> dict | None:
    """Mean and spread of what several seeds gave.

    Args:
        values (dict[int, float]): By seed.

    Returns:
        dict | None: ``seeds``, the values by seed; ``mean``; ``spread``, the
        standard deviation (n - 1), ``None`` for a single value. ``None`` if
        there are no values.
    """
    if not values:
        return None
    return dict(
        seeds=values,
        mean=statistics.fmean(values.values()),
        spread=statistics.stdev(values.values()) if len(values) > 1 else None,
    )


def paired_difference(
    values: dict[int, float], reference: dict[int, float]
) -> dict | None:
    r"""Differences of pairs of the same seed.

    The interval holds the mean difference of all seeds with 95 % confidence
    if differences are normal: :math:`\bar d \pm t_{n-1} s_d / \sqrt n`.

    Args:
        values (dict[int, float]): By seed.
        reference (dict[int, float]): What they are compared to, by seed.

    Returns:
        dict | None: ``mean``, and ``interval``, two numbers, or ``None`` for
        a single pair. ``None`` if no seed has both.
    """
    pairs = [values[s] - reference[s] for s in values if s in reference]
    if not pairs:
        return None
    mean, interval = statistics.fmean(pairs), None
    if len(pairs) > 1:
        error = statistics.stdev(pairs) / len(pairs) ** 0.5
        margin = _quantile(len(pairs)) * error
        interval = [mean - margin, mean + margin]
    return dict(mean=mean, interval=interval)


def expected_range(values: Sequence[float]) -> tuple[float, float]:
    r"""Where one more training should fall, in 95 of 100 cases.

    The prediction interval of a normal distribution,
    :math:`\bar x \pm t_{n-1} s \sqrt{1 + 1/n}`.

    Raises:
        ValueError: There are fewer than two values.
    """
    number = len(values)
    if number < 2:
        raise ValueError(
            f'the spread of {number} value is unknown; at least 2 seeds are '
            'needed'
        )
    margin = _quantile(number) * statistics.stdev(values)
    margin *= (1 + 1 / number) ** 0.5
    mean = statistics.fmean(values)
    return mean - margin, mean + margin


def _quantile(number: int) -> float:
    return float(t.ppf((1 + CONFIDENCE) / 2, number - 1))


def tabulate(grid: Grid, records: dict[str, dict[int, dict]]) -> dict:
    """All tables of a grid, in numbers.

    Args:
        grid (Grid): The grid.
        records (dict[str, dict[int, dict]]): Records of the runs that have
            ended, by variant and seed.

    Returns:
        dict: By name of the table: ``title``, ``columns``, ``versus``, and
        ``rows``, by label a list with, for every column, ``None`` where
        nothing was run, or what :func:`mean_and_spread` gives of the
        metric in percent, with ``per_cell``, anchors per cell, and
        ``difference``, what :func:`paired_difference` gives to the first
        column or row.
    """
    tables = {}
    for name, definition in grid.tables.items():
        rows = {
            label: [_fill(cell, records) for cell in cells]
            for label, cells in grid.rows(name).items()
        }
        versus = definition.get('versus')
        first_row = next(iter(rows.values()))
        for entries in rows.values():
            for column, entry in enumerate(entries):
                other = {'column': entries[0], 'row': first_row[column]}
                reference = other.get(versus)
                if entry and reference and reference is not entry:
                    entry['difference'] = paired_difference(
                        entry['seeds'], reference['seeds']
                    )
        tables[name] = dict(
            title=definition['title'],
            columns=definition['columns'],
            versus=versus,
            rows=rows,
        )
    return tables


def tests_of(cell: Cell, records: dict[int, dict]) -> dict[int, dict]:
    """Results of the test of a cell, of the seeds that have it.

    Args:
        cell (Cell): The cell.
        records (dict[int, dict]): Records of its variant, by seed.
    """
    name = str(cell.test)
    return {
        seed: record['tests'][name]
        for seed, record in records.items()
        if name in record['tests']
    }


def percent(result: dict, metric: str) -> float:
    """A metric of a test, in percent.

    Raises:
        ValueError: The test has no such metric, or no boxes for it.
    """
    metrics = result['metrics']
    if metric not in metrics:
        raise ValueError(
            f'a table asks for {metric!r} of a test that measured '
            f'{", ".join(metrics)}'
        )
    if metrics[metric] < 0:  # COCO's -1
        raise ValueError(
            f'a table asks for {metric!r} of a test that has no such boxes'
        )
    return 100 * metrics[metric]


def _fill(cell: Cell | None, records: dict) -> dict | None:
    if cell is None:
        return None
    tests = tests_of(cell, records.get(cell.variant, {}))
    summary = mean_and_spread(
        {seed: percent(test, cell.metric) for seed, test in tests.items()}
    )
    if summary is not None:
        numbers = [test['per_cell'] for test in tests.values()]
        summary['per_cell'] = [min(numbers), max(numbers)]
    return summary
