"""The report of a grid: Markdown, JSON and a plot per table."""

from pathlib import Path

from benchmarks import tables
from mmdet_metaanchor.runtime.files import replacing, write_json

from ..metrics import METRICS
from .figures import tabulate
from .grid import Grid
from .jobs import Jobs
from .pictures import SCORE_THR, draw_pictures
from .plots import draw_lines, draw_table
from .records import is_whole

PICTURES = dict(
    detections='The first test images, not chosen: the boxes of the data, '
    f'then detections whose score is above {SCORE_THR}.',
    anchors='Anchors of one cell of every level, near the centre of the '
    'image: wide ones blue, square ones orange, tall ones green.',
)


def write_report(jobs: Jobs, out_dir: Path) -> Path:
    """Make the report from the runs that have ended.

    Args:
        jobs (Jobs): Where its records and trainings are.
        out_dir (Path): Receives ``report.md``, ``report.json`` and a PNG file
            of every table that has a number.

    Returns:
        Path: ``report.md``.
    """
    grid = jobs.grid
    runs = grid.runs()
    records, done = {}, 0
    for run in runs:
        record = jobs.records.read(run)
        if record is not None:
            records.setdefault(run.variant, {})[run.seed] = record
            done += is_whole(run, record)
    numbers = tabulate(grid, records)
    measured = sorted(
        {_machine(r) for seeds in records.values() for r in seeds.values()}
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    write_json(
        out_dir / 'report.json',
        dict(
            grid=str(grid.path),
            done=done,
            total=len(runs),
            measured_on=measured,
            tables=numbers,
        ),
    )
    lines = [
        '# Benchmark\n',
        'mAP on val in percent, where a table names no other metric, mean ± '
        'standard deviation over the seeds '
        f'{", ".join(map(str, grid.seeds))}; in brackets, the mean difference '
        'of pairs of the same seed and its 95 % interval. '
        f'{done} of {len(runs)} trainings are done.\n',
        *(f'Measured on {text}.\n' for text in measured),
    ]
    for name, table in numbers.items():
        lines.append(f'## {table["title"]}\n')
        lines.append(tables.markdown(cells(table, len(grid.seeds))) + '\n')
        if any(map(any, table['rows'].values())):
            as_lines = grid.tables[name].get('lines')
            draw = draw_lines if as_lines else draw_table
            draw(out_dir / f'{name}.png', table, _metric(grid, name))
            lines.append(f'![{table["title"]}]({name}.png)\n')
    for name in draw_pictures(jobs, out_dir):
        title = name.removesuffix('.png')
        lines.append(f'## {title.capitalize()}\n')
        lines.append(f'![{title}]({name})\n')
        lines.append(PICTURES[title] + '\n')
    path = out_dir / 'report.md'
    with replacing(path) as part:
        part.write_text('\n'.join(lines), encoding='utf-8')
    return path


def cells(table: dict, seeds: int) -> list[list[str]]:
    """A table of :func:`tabulate` as text, its head first.

    Args:
        table (dict): The table.
        seeds (int): How many a complete cell has.
    """
    versus = {
        'column': f'difference to {table["columns"][0]}',
        'row': f'difference to {next(iter(table["rows"]))}',
    }
    head = [versus.get(table['versus'], ''), *table['columns']]
    return [
        head,
        *(
            [label, *(_cell(entry, seeds) for entry in entries)]
            for label, entries in table['rows'].items()
        ),
    ]


def _metric(grid: Grid, table: str) -> str:
    """Metrics of a table's cells."""
    rows = grid.rows(table).values()
    names = [cell.metric for row in rows for cell in row if cell]
    return ', '.join(METRICS.get(name, name) for name in dict.fromkeys(names))


def _cell(entry: dict | None, seeds: int) -> str:
    if entry is None:
        return ''
    text = f'{entry["mean"]:.1f}'
    if entry['spread'] is not None:
        text += f' ± {entry["spread"]:.1f}'
    if len(entry['seeds']) < seeds:
        text += f' (n = {len(entry["seeds"])})'
    difference = entry.get('difference')
    if difference is not None:
        text += f'\n[{difference["mean"]:+.1f}'
        if difference['interval'] is not None:
            low, high = difference['interval']
            text += f'; {low:+.1f} to {high:+.1f}'
        text += ']'
    return text


def _machine(record: dict) -> str:
    machine, versions = record['machine'], record['versions']
    names = ('torch', 'mmdet', 'mmcv', 'mmengine')
    return (
        f'{machine["device"]}, {machine["cores"]} cores, '
        f'{record["side_by_side"]} runs side by side; '
        + ', '.join(f'{name} {versions[name]}' for name in names)
        + f', Python {versions["python"]}'
    )
