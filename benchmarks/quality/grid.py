"""What a grid config says: trainings, tests and tables."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

from mmengine.config import Config

from mmdet_metaanchor.runtime.command_line import quiet
from mmdet_metaanchor.runtime.files import as_json, digest, digest_file

from .runs import Cell, Evaluation, Run
from .validity import check_grid, known

KEYS = ('seeds', 'detectors', 'data', 'anchors', 'variants', 'tables')
# What decides the outcome of a training and of its tests...
ESSENTIAL = (
    'model',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'train_dataloader',
    'test_dataloader',
    'custom_hooks',
)
# ... without that in which machines differ.
LOCAL = ('data_root', 'ann_file', 'num_workers', 'persistent_workers')
# Of a variant's definition: what its training begins with, if anything is.
BEGIN = ('start', 'trained')


class Grid:
    """A grid config, checked.

    It is a config file of MMEngine with

    - ``seeds``, a list;
    - ``detectors``, configs by name: files, or ``package::name``;
    - ``data``, by name: ``dict(env=dict(NAME=value))``, the variables of the
      environment that the detectors' configs read, and ``make``, the
      arguments of :func:`make_digits` where the digits are to be made;
    - ``anchors``, by name: what :func:`customize_anchors` takes;
    - ``variants``, by name: ``dict(detector=, data=, settings=)``, the last
      one being what a config that inherits from the detector's would hold.
      With ``start``, another variant, the training begins with the checkpoint
      of that one, of the same seed; and with ``trained=False`` there is no
      training, and that checkpoint is tested;
    - ``tables``, by name: ``title``, ``columns``, ``rows``, lists of a label
      and one cell per column, ``versus`` ('column' or 'row': the first of them
      is what differences are to) and ``check``, row and column of the cell
      that a reader's check repeats. A cell is a variant, or a list of a
      variant, data, anchors and metric (see ``read_metrics``);
    - ``results``, the folder of its results, if they are kept with it;
    - ``pictures``, if there are to be any: the number of ``images``, and
      ``columns``, cells by their title, see :func:`draw_pictures`.

    Args:
        path (str | Path): The file.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: A key is missing, a name is used and not defined, or a
            table does not hold together.
    """

    def __init__(self, path: str | Path) -> None:
        cfg = Config.fromfile(path)
        missing = [key for key in KEYS if key not in cfg]
        if missing:
            raise ValueError(
                f'{path} is not a grid: it lacks {", ".join(missing)}'
            )
        self.path = Path(path)
        self.results = cfg.get('results')
        self.pictures = cfg.get('pictures', {})
        self._settings = {}
        self._annotations = {}
        self.seeds = list(cfg.seeds)
        self.detectors = cfg.detectors.to_dict()
        self.data = cfg.data.to_dict()
        self.anchors = cfg.anchors.to_dict()
        self.variants = cfg.variants.to_dict()
        self.tables = {
            name: table
            for name, table in cfg.tables.to_dict().items()
            if table is not None  # how a config drops one that it inherits
        }
        check_grid(self)

    def cell_to_check(self, table: str) -> Cell | None:
        """The cell that a table names by ``check``, if it is there."""
        row, column = self.tables[table]['check']
        columns = self.tables[table]['columns']
        rows = self.rows(table)
        if row not in rows or column not in columns:
            return None
        return rows[row][columns.index(column)]

    def cell(self, entry: str | list | None) -> Cell | None:
        """A cell as it stands in a row; ``None`` stays empty."""
        if entry is None:
            return None
        if isinstance(entry, str):
            entry = [entry]
        variant, *test = entry
        known(self, 'variants', variant, 'a table')
        defaults = (self.variants[variant]['data'], 'trained', 'mAP')
        data, anchors, metric = *test, *defaults[len(test) :]
        return Cell(variant, Evaluation(data, anchors), metric)

    def rows(self, table: str) -> dict[str, list[Cell | None]]:
        """Cells of a table by the label of their row."""
        return {
            label: [self.cell(entry) for entry in entries]
            for label, *entries in self.tables[table]['rows']
        }

    def cells(self) -> Iterator[Cell]:
        """Cells of all tables, in their order."""
        for table in self.tables:
            for row in self.rows(table).values():
                yield from (cell for cell in row if cell is not None)

    def runs(self) -> list[Run]:
        """The trainings that the tables need, in their order."""
        tests = {}
        for cell in self.cells():
            start = self.variants[cell.variant].get('start')
            if start:
                tests.setdefault(start, {})
            tests.setdefault(cell.variant, {})[cell.test] = None
        return [
            Run(variant, seed, tuple(tests[variant]))
            for variant in tests
            for seed in self.seeds
        ]

    def env(self, variant: str) -> dict[str, str]:
        """Variables of the environment of a training."""
        return self.data[self.variants[variant]['data']].get('env', {})

    def config(self, variant: str, **settings) -> str:
        """Text of the config of a training, which inherits the detector's.

        Args:
            variant (str): Its name.
            **settings: More of them, e.g. the seed; they come last.
        """
        definition = self.variants[variant]
        base = self.detectors[definition['detector']]
        if '::' not in base:
            base = str(Path(base).resolve())
        cfg = Config(definition.get('settings', {}))
        cfg.merge_from_dict(settings)
        lines = [f'{key} = {value!r}' for key, value in cfg.to_dict().items()]
        return '\n'.join([f'_base_ = {base!r}', *lines, ''])

    def settings(self, variant: str) -> dict:
        """What a run's file records of how it was trained.

        ``digest`` sums up the settings that its configs came to, so that a
        run made before one of them was edited is noticed.
        """
        if variant in self._settings:
            return self._settings[variant]
        definition = self.variants[variant]
        with self.environment(definition['data']):
            cfg = Config.fromstring(self.config(variant), '.py')
        resolved = {key: cfg.get(key) for key in ESSENTIAL}
        if cfg.get('load_from'):
            resolved['load_from'] = cfg.load_from
        text = json.dumps(
            _without_local(resolved), default=str, sort_keys=True
        )
        self._settings[variant] = as_json(
            dict(
                config=self.detectors[definition['detector']],
                data=self.data[definition['data']].get('make'),
                settings=_without_local(definition.get('settings', {})),
                digest=digest(text.encode()),
                **{k: v for k, v in definition.items() if k in BEGIN},
            )
        )
        return self._settings[variant]

    def definition(self, test: Evaluation) -> dict:
        """What a run's file records of what a test was."""
        return as_json(
            dict(
                data=self.data[test.data].get('make'),
                anchors=self.anchors.get(test.anchors),
            )
        )

    def annotations(self, variant: str, data: str) -> dict[str, str | None]:
        """Digests of the annotation files of a data set, as a variant sees it.

        Where the data are is no setting, but a run on others is another run.

        Returns:
            dict[str, str | None]: Of ``train`` and ``test``; ``None`` where
            the file is not on this machine.
        """
        key = self.variants[variant]['detector'], data
        if key not in self._annotations:
            with self.environment(data):
                cfg = Config.fromstring(self.config(variant), '.py')
            self._annotations[key] = {
                split: _digest_annotations(cfg[f'{split}_dataloader'].dataset)
                for split in ('train', 'test')
            }
        return self._annotations[key]

    @contextmanager
    def environment(self, data: str) -> Iterator[None]:
        """Let configs that are read in the block find a data set.

        Not for threads, which have one environment between them.
        """
        variables = self.data[data].get('env', {})
        before = {name: environ.get(name) for name in variables}
        environ.update(variables)
        try:
            with quiet():  # not a line for every variable
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    del environ[name]
                else:
                    environ[name] = value


def _digest_annotations(dataset: dict) -> str | None:
    """Of a data set that has annotations of its own, and here."""
    name = dataset.get('ann_file')
    root = dataset.get('data_root') or ''
    return None if name is None else digest_file(Path(root, name))


def _without_local(value):
    """A nested value without what is ``LOCAL``."""
    if isinstance(value, dict):
        return {
            key: _without_local(item)
            for key, item in value.items()
            if key not in LOCAL
        }
    if isinstance(value, (list, tuple)):
        return [_without_local(item) for item in value]
    return value
