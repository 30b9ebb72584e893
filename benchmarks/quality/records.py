"""What a grid's runs came to: a JSON file each."""

from pathlib import Path

from mmdet_metaanchor.runtime.files import go_on_from, read_json

from ..migrate import renamed
from .grid import Grid
from .runs import Run


class Records:
    """Files of the runs of a grid that have ended, and what they must say.

    Args:
        grid (Grid): The grid.
        folder (Path): Folder of the files.
        gpus (int): GPUs of a run.
    """

    def __init__(self, grid: Grid, folder: Path, gpus: int = 1) -> None:
        self.grid = grid
        self.folder = folder
        self.gpus = gpus

    def read(self, run: Run) -> dict | None:
        """The record of a run that has ended, or ``None``.

        Tests whose data or anchors were defined otherwise are left out.

        Raises:
            ValueError: The file is of a run with other settings, or on
                other data.
        """
        path = self.path(run)
        if not path.is_file():
            return None
        content = read_json(path)
        if renamed(content) != content:
            raise ValueError(
                f'{path} names modules and configs as they were before 0.2; '
                f'run python -m benchmarks.migrate {path.parent}'
            )
        record = go_on_from(path, self.settings(run))
        if record.get('start_digest') != self.start_digest(run):
            raise ValueError(
                f'{path} is of a run that started from other settings of '
                f'{self.start(run).variant}; remove it, or choose another '
                'folder'
            )
        for data, before in record.get('annotations', {}).items():
            if data not in self.grid.data:
                continue  # nor is there a test on it any more
            now = self.grid.annotations(run.variant, data)
            if any(now[s] not in (None, before[s]) for s in before):
                raise ValueError(
                    f'{path} is of a run on other annotations of {data}; '
                    'choose another folder for the results'
                )
        wanted = {str(t): self.grid.definition(t) for t in run.tests}
        record['tests'] = {
            name: result
            for name, result in record['tests'].items()
            if result['definition'] == wanted.get(name)
        }
        return record

    def is_done(self, run: Run) -> bool:
        """Whether the record of a run holds all of its tests."""
        record = self.read(run)
        return record is not None and is_whole(run, record)

    def start(self, run: Run) -> Run | None:
        """The run whose checkpoint a run starts from, if it does."""
        start = self.grid.variants[run.variant].get('start')
        return Run(start, run.seed, ()) if start else None

    def start_digest(self, run: Run) -> str | None:
        """Digest of the settings of the run that a run starts from."""
        start = self.start(run)
        return start and self.settings(start)['digest']

    def settings(self, run: Run) -> dict:
        """What the training of a run depends on, and its digest."""
        return dict(self.grid.settings(run.variant), gpus=self.gpus)

    def training_settings(self, run: Run) -> dict:
        """What else makes a training another one: its start and its boxes."""
        data = self.grid.variants[run.variant]['data']
        return dict(
            self.settings(run),
            start_digest=self.start_digest(run),
            train=self.annotations(run).get(data, {}).get('train'),
        )

    def data(self, run: Run) -> list[str]:
        """Names of the data sets that a run is trained and tested on."""
        names = [self.grid.variants[run.variant]['data']]
        return list(dict.fromkeys(names + [test.data for test in run.tests]))

    def annotations(self, run: Run) -> dict:
        """Of these data sets, but for those that are made by definition."""
        return {
            name: self.grid.annotations(run.variant, name)
            for name in self.data(run)
            if 'make' not in self.grid.data[name]
        }

    def path(self, run: Run) -> Path:
        """The file of a run, which need not be there."""
        return self.folder / f'{run.name}.json'


def is_whole(run: Run, record: dict) -> bool:
    """Whether a record, as it was read, holds all tests of a run."""
    return len(record['tests']) == len(run.tests)
