"""A grid config and what follows from it."""

import functools
import json
import os
from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config

from benchmarks.photographs import FOLDERS
from benchmarks.quality.grid import Grid
from benchmarks.quality.runs import Cell, Evaluation, Run

ROOT = Path(__file__).resolve().parents[3]
GRIDS = ROOT / 'benchmarks' / 'grids'
GRID = """
seeds = [3, 5]
detectors = dict(stock='stock.py', meta='meta.py')
data = dict(near=dict(env=dict(DATA_ROOT='here')), far=dict(env=dict(
    DATA_ROOT='there')))
anchors = dict(one=dict(scales=[4], ratios=[1.0]))
variants = dict(
    a=dict(detector='stock', data='near'),
    b=dict(detector='meta', data='near', settings=dict(size=2)),
    unused=dict(detector='meta', data='far'),
)
tables = dict(
    first=dict(title='First', columns=['x', 'y'], check=['r', 'y'],
               rows=[['r', 'a', 'b'], ['s', None, ['b', 'far', 'one']]]),
    second=dict(title='Second', columns=['x'], check=['r', 'x'],
                rows=[['r', ['b', 'far']]]),
)
pictures = dict(images=1, columns=dict(p=['b', 'near', 'one']))
"""


@pytest.fixture
def make_grid(tmp_path, monkeypatch):
    """A grid from a text; its detectors' configs say where the data are."""
    monkeypatch.chdir(tmp_path)

    def make(text):
        for name in ('stock', 'meta'):
            Path(f'{name}.py').write_text(f"model = dict(type='{name}')\n")
        Path('grid.py').write_text(text)
        return Grid('grid.py')

    return make


def test_runs_are_those_that_the_tables_need(make_grid):
    """Every test once, all seeds, in the order of the tables."""
    own, far = Evaluation('near', 'trained'), Evaluation('far', 'trained')
    tests = (own, Evaluation('far', 'one'), far)
    assert make_grid(GRID).runs() == [
        Run('a', 3, (own,)),
        Run('a', 5, (own,)),
        Run('b', 3, tests),
        Run('b', 5, tests),
    ]


def test_settings_are_those_of_the_data_and_the_variant(make_grid):
    grid = make_grid(GRID)
    settings = grid.settings('b')
    assert settings['data'] is None  # nothing to be made
    assert settings['settings'] == {'size': 2}
    # what a file gives back is equal
    assert json.loads(json.dumps(settings)) == settings


def test_an_edited_detector_changes_the_settings(make_grid):
    before = make_grid(GRID).settings('a')
    Path('stock.py').write_text("model = dict(type='Another')\n")
    after = Grid('grid.py').settings('a')
    assert before.pop('digest') != after.pop('digest')
    assert before == after


def test_where_the_data_are_and_workers_do_not_change_the_settings(make_grid):
    """A run of another machine is the same run."""
    loader = 'train_dataloader = dict(batch_size={}, num_workers={})\n'
    grids = []
    for folder, batch, workers in (('here', 2, 1), ('x', 2, 8), ('x', 4, 8)):
        make_grid(GRID.replace("'here'", repr(folder)))
        with open('stock.py', 'a') as file:
            file.write(loader.format(batch, workers))
            file.write("test_dataloader = dict(data_root='{{$DATA_ROOT:}}')\n")
        grids.append(Grid('grid.py').settings('a'))
    assert grids[0] == grids[1] != grids[2]


def test_the_environment_is_as_it_was(make_grid, monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)
    grid = make_grid(GRID)
    grid.settings('a')
    with pytest.raises(KeyError), grid.environment('near'):
        raise KeyError
    assert 'DATA_ROOT' not in os.environ


def test_a_table_can_be_dropped_by_a_config_that_inherits(make_grid):
    make_grid(GRID)
    Path('other.py').write_text(
        "_base_ = './grid.py'\ntables = dict(first=None)\n"
    )
    grid = Grid('other.py')
    assert list(grid.tables) == ['second']
    assert grid.cell_to_check('second') == Cell(
        'b', Evaluation('far', 'trained')
    )


def test_a_cell_may_name_its_metric(make_grid):
    grid = make_grid(GRID)
    test = Evaluation('near', 'one')
    entry = ['b', 'near', 'one']
    assert grid.cell(entry) == Cell('b', test, 'mAP')
    assert grid.cell([*entry, 'AR@100']) == Cell('b', test, 'AR@100')
    # Two metrics of one test are one test.
    assert len({grid.cell([*entry, m]).test for m in ('mAP', 'x')}) == 1


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('seeds = [3, 5]', '', 'lacks seeds'),
        ("detector='stock'", "detector='stok'", "'stok'.*detectors.*stock"),
        ("a=dict(detector='stock', data='near'", "a=dict(detector='stock', "
         "data='nea'", "'nea'.*data.*near"),
        ("['b', 'far', 'one']", "['b', 'far', 'two']", "'two'.*anchors.*one"),
        ("['r', 'a', 'b']", "['r', 'a', 'c']", "'c'.*variants.*unused"),
        ("['r', 'a', 'b']", "['r', 'a']", "'r' of table first has 1 cells"),
        ("['b', 'far', 'one']", "['b', 'far', 'one', 'mAP50']",
         "asks for 'mAP50' of b; metrics are .*mAP_50"),
        ("['s', None", "['r', None", 'two rows of table first'),
        ("check=['r', 'y']", "check=['r', 'z']", 'no cell .*z.* to check'),
        ("check=['r', 'y']", "check=['s', 'x']", 'no cell .*s.* to check'),
        ("check=['r', 'y'],", '', 'table first of grid.py lacks check'),
        ("columns=['x', 'y'],", "columns=['x', 'y'], versus='colum',",
         "'column' or 'row', got 'colum'"),
        ('one=dict(', 'trained=dict(', "'trained' cannot name anchors"),
        ("a=dict(detector='stock', ", 'a=dict(', 'variant a .*lacks detector'),
        ("p=['b', 'near', 'one']", "p=['b', 'near', 'two']", "'two'.*anchors"),
        ("p=['b', 'near', 'one']", "p=['b', 'near', 'searched']",
         "none has .*'searched'"),
        ('images=1, ', '', 'pictures of grid.py lacks images'),
    ],
)  # fmt: skip
def test_unknown_names_are_refused(make_grid, old, new, message):
    assert old in GRID
    with pytest.raises(ValueError, match=message):
        make_grid(GRID.replace(old, new, 1))


@pytest.fixture(scope='module')
def read_once():
    """Grids have configs in common, in which no more than folders differ."""
    return functools.cache(Config.fromstring)


@pytest.mark.parametrize(
    'name', sorted(path.stem for path in GRIDS.glob('*.py'))
)
def test_the_grids_of_this_repository(
    name, tiny_data, monkeypatch, tmp_path, read_once
):
    """Every variant's config can be read, and imports the head it names."""
    monkeypatch.setattr(Config, 'fromstring', read_once)
    # Their data are not in the repository.
    (tmp_path / 'data/photographs').mkdir(parents=True)
    (tmp_path / 'data/bccd').symlink_to(tiny_data)
    for data in (*FOLDERS, 'neu-square', 'plates-part'):
        (tmp_path / 'data/photographs' / data).symlink_to(tiny_data)
    for folder in ('benchmarks', 'configs'):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DATA_ROOT', str(tiny_data))
    grid = Grid(f'benchmarks/grids/{name}.py')
    trainings = [
        (
            definition['data'],
            definition.get('start'),
            grid.settings(variant)['digest'],
        )
        for variant, definition in grid.variants.items()
        if definition.get('trained', True)
    ]
    # No two of them are one training under two names.
    assert len(set(trainings)) == len(trainings)
    # Settings of a variant may replace the imports of its detector's config,
    # which another test of this process may have done.
    for variant in grid.variants:
        cfg = Config.fromstring(grid.config(variant), '.py')
        head = cfg.model.get('bbox_head') or cfg.model.rpn_head
        module = MODELS.get(head.type).__module__
        imports = cfg.get('custom_imports', {}).get('imports', [])
        assert module.startswith(('mmdet.', *imports)), variant


def test_the_detectors_of_the_digits_can_be_made(monkeypatch):
    """Initialised as a training does it, which is where a name can clash."""
    monkeypatch.chdir(ROOT)
    grid = Grid('benchmarks/grids/digits.py')
    for variant in grid.variants:
        cfg = Config.fromstring(grid.config(variant), '.py')
        MODELS.build(cfg.model).init_weights()
