"""What the report says, and that the published one follows from the runs."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.quality.figures import tabulate
from benchmarks.quality.grid import Grid
from benchmarks.quality.jobs import Jobs
from benchmarks.quality.plots import draw_table
from benchmarks.quality.records import Records
from benchmarks.quality.report import cells, write_report

ROOT = Path(__file__).resolve().parents[3]
# Classes of the photographs, by the ids and names of their data sets.
PLATES = {1: 'license-plate'}
CELLS = {1: 'RBC', 2: 'WBC', 3: 'Platelets'}
SQUARE = {
    1: 'crazing',
    3: 'patches',
    4: 'pitted_surface',
    5: 'rolled-in_scale',
}
CLASSES = {
    'custom': CELLS,
    'bccd': CELLS,
    'part': PLATES,
    'steel': SQUARE,
    'neu': dict(
        enumerate(
            (
                'crazing',
                'inclusion',
                'patches',
                'pitted_surface',
                'rolled-in_scale',
                'scratches',
            ),
            start=1,
        )
    ),
    'plates': PLATES,
    'plates-us': PLATES,
    'plates-eu': PLATES,
    'neu-square': SQUARE,
}
ABSENT = dict(train=None, test=None)
TABLE = dict(
    title='Two rows',
    columns=['stock', 'MetaAnchor'],
    versus='column',
    rows={
        'first': [
            dict(seeds={0: 10.0, 1: 12.0}, mean=11.0, spread=2**0.5),
            dict(
                seeds={0: 13.0, 1: 14.0},
                mean=13.5,
                spread=0.5**0.5,
                difference=dict(mean=2.5, interval=[-3.9, 8.9]),
            ),
        ],
        'second': [dict(seeds={1: 7.0}, mean=7.0, spread=None), None],
    },
)


def test_cells_say_spread_difference_and_interval():
    lines = tables.markdown(cells(TABLE, seeds=2)).splitlines()
    assert lines[0] == '| difference to stock | stock | MetaAnchor |'
    assert lines[2] == (
        '| first | 11.0 ± 1.4 | 13.5 ± 0.7<br>[+2.5; -3.9 to +8.9] |'
    )


def test_cells_say_what_is_missing():
    assert cells(TABLE, seeds=2)[2] == ['second', '7.0 (n = 1)', '']


def test_a_plot_is_drawn_with_cells_missing(tmp_path):
    draw_table(tmp_path / 'table.png', TABLE)
    assert (tmp_path / 'table.png').read_bytes().startswith(b'\x89PNG')


class GridOfOne:
    """A grid of a table of one row and two columns, without any config."""

    def __init__(self, versus):
        self.tables = dict(
            t=dict(title='T', columns=['x', 'y'], versus=versus)
        )

    def rows(self, table):
        grid = Grid.__new__(Grid)
        grid.variants = dict(a=dict(data='d'), b=dict(data='d'))
        return {
            'r': [grid.cell('a'), grid.cell('b')],
            's': [grid.cell('b'), None],
        }


def record(*scores):
    """Records of the seeds 0, 1, ..., tested on d as trained."""
    return {
        seed: dict(
            tests={
                'd, trained': dict(metrics=dict(mAP=score / 100), per_cell=9)
            }
        )
        for seed, score in enumerate(scores)
    }


def test_differences_to_the_first_column():
    rows = tabulate(GridOfOne('column'), dict(a=record(1, 2), b=record(4, 5)))
    rows = rows['t']['rows']
    assert 'difference' not in rows['r'][0]
    assert rows['r'][1]['difference']['mean'] == pytest.approx(3)
    assert 'difference' not in rows['s'][0]
    assert rows['s'][1] is None


def test_differences_to_the_first_row():
    rows = tabulate(GridOfOne('row'), dict(a=record(1, 2), b=record(4, 5)))
    rows = rows['t']['rows']
    assert all('difference' not in entry for entry in rows['r'])
    assert rows['s'][0]['difference']['mean'] == pytest.approx(3)


@pytest.mark.parametrize(
    'published',
    sorted((ROOT / 'benchmarks/results').glob('*/report.json')),
    ids=lambda path: path.parent.name,
)
def test_the_published_report_follows_from_the_runs(
    tmp_path, monkeypatch, published
):
    """Its tables are what the JSON files give now.

    The photographs need not be here, only their classes, to which the
    settings of a training belong. Plots are not written, which takes long.
    """
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Grid, 'annotations', lambda *_: ABSENT)
    plots = []
    monkeypatch.setattr(
        'benchmarks.quality.plots.save',
        lambda figure, path: plots.append(path.name),
    )
    grid = Grid(json.loads(published.read_text())['grid'])
    for name in CLASSES.keys() & grid.data.keys():
        classes = [dict(id=k, name=v) for k, v in CLASSES[name].items()]
        folder = tmp_path / name
        folder.mkdir()
        for split in ('train', 'val'):
            (folder / f'{split}.json').write_text(
                json.dumps(dict(categories=classes))
            )
        grid.data[name]['env'] = dict(DATA_ROOT=str(folder))
    published = published.parent
    shutil.copytree(published / 'runs', tmp_path / 'runs')
    records = Records(grid, tmp_path / 'runs')
    write_report(Jobs(records, tmp_path), tmp_path)
    old, new = (
        json.loads((folder / 'report.json').read_text())
        for folder in (published, tmp_path)
    )
    assert new == old
    old, new = (
        (folder / 'report.md').read_text() for folder in (published, tmp_path)
    )
    assert new == old
    assert plots
    assert all((published / name).is_file() for name in plots)
