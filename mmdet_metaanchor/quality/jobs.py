"""Trainings of a grid: side by side, in processes of their own, resumable."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from ..datasets.digits import make_digits
from ..files import read_json, write_json
from ..launch import last_checkpoint
from ..machine import describe_machine, describe_versions
from .grid import Grid
from .processes import ROOT, Processes
from .progress import Progress
from .runs import Run


class Jobs:
    """Runs of a grid, trained and tested.

    A run that has ended is a JSON file in ``results``; what has such a file is
    not done again, wherever that was. Config, log and checkpoint of a run are
    in a folder of ``work_dir``, from which an interrupted one goes on.

    Args:
        grid (Grid): The grid.
        results (Path): Folder for the JSON files.
        work_dir (Path): Folder for everything else.
        number (int): Runs side by side, which share the cores.
        gpus (int): GPUs of a run; more than one starts tools/dist_train.sh.
    """

    def __init__(
        self,
        grid: Grid,
        results: Path,
        work_dir: Path,
        number: int = 1,
        gpus: int = 1,
    ) -> None:
        self.grid = grid
        self.results = results
        self.work_dir = work_dir.resolve()
        self.number = number
        self.gpus = gpus
        self._processes = Processes(number)

    def read(self, run: Run) -> dict | None:
        """The record of a run that has ended, or ``None``.

        Tests whose data or anchors were defined otherwise are left out.

        Raises:
            ValueError: The file is of a run with other settings.
        """
        path = self.results / f'{run.name}.json'
        if not path.is_file():
            return None
        record = read_json(path)
        settings = self._settings(run)
        if record['settings'] != settings:
            raise ValueError(
                f'{path} was made with the settings {record["settings"]}, '
                f'and {run.variant} has {settings} now; remove the file, or '
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

    def run(self, runs: Sequence[Run]) -> list[str]:
        """Do what is not done yet.

        Returns:
            list[str]: A line for every run that failed.
        """
        waiting = [run for run in runs if not self.is_done(run)]
        names = [self.grid.variants[run.variant]['data'] for run in waiting]
        names += [test.data for run in waiting for test in run.tests]
        for name in dict.fromkeys(names):
            self._make(name)
        # Before the threads start: to read a config changes the environment,
        # which they share.
        settings = [self._settings(run) for run in waiting]
        failures = []
        with (
            Progress(len(runs), len(runs) - len(waiting), self.number) as bar,
            ThreadPoolExecutor(self.number) as pool,
        ):
            try:
                futures = {
                    pool.submit(self._do, run, own, bar.follow(str(run))): run
                    for run, own in zip(waiting, settings, strict=True)
                }
                while futures:
                    # With a timeout, so that Ctrl-C is heard.
                    done, _ = wait(futures, 1, FIRST_COMPLETED)
                    for future in done:
                        run = futures.pop(future)
                        error = future.exception()
                        if error is None:
                            bar.done(str(run), future.result())
                        else:
                            failures.append(f'{run}: {error}')
                            bar.failed(str(run), str(error))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._processes.stop()
                raise
        return failures

    def _settings(self, run: Run) -> dict:
        return dict(self.grid.settings(run.variant), gpus=self.gpus)

    def _make(self, data: str) -> None:
        """Make the digits of a data set, if it is made of digits."""
        settings = self.grid.data[data].get('make')
        if settings is not None:
            folder = self.grid.data[data]['env']['DIGITS_ROOT']
            make_digits(folder, **settings)

    def _do(self, run: Run, settings: dict, follow: Callable) -> dict:
        folder = self.work_dir / run.name
        folder.mkdir(parents=True, exist_ok=True)
        # Not in that folder, where MMEngine writes what it came to.
        config = self.work_dir / 'configs' / f'{run.name}.py'
        config.parent.mkdir(exist_ok=True)
        config.write_text(
            self.grid.config(run.variant, randomness=dict(seed=run.seed))
        )
        training = self._train(run, config, folder, settings, follow)
        began = time.monotonic()
        out = folder / 'tests.json'
        follow('testing')
        self._processes.call(
            [sys.executable, '-m', f'{__package__}.evaluate']
            + [str(self.grid.path), json.dumps(run), str(config)]
            + [str(last_checkpoint(folder)), str(out)],
            {},  # every test has its own
            folder / 'test.log',
            follow,
        )
        record = dict(
            variant=run.variant,
            seed=run.seed,
            settings=settings,
            tests={
                name: dict(result, definition=self.grid.definition(test))
                for (name, result), test in zip(
                    read_json(out).items(), run.tests, strict=True
                )
            },
            seconds=dict(
                training=round(training['seconds'], 1),
                tests=round(time.monotonic() - began, 1),
            ),
            side_by_side=self.number,
            machine=describe_machine(),
            versions=describe_versions(),
        )
        self.results.mkdir(parents=True, exist_ok=True)
        write_json(self.results / f'{run.name}.json', record)
        return record

    def _train(
        self,
        run: Run,
        config: Path,
        folder: Path,
        settings: dict,
        follow: Callable[[str], None],
    ) -> dict:
        """Train, or go on, or do nothing where that is done.

        Returns:
            dict: ``seconds``, interrupted trainings included; ``settings``
            and ``done``.
        """
        memo = folder / 'training.json'
        state = dict(settings=settings, done=False, seconds=0.0)
        if memo.is_file():
            state = read_json(memo)
            if state['settings'] != settings:
                raise ValueError(
                    f'{folder} holds a training with other settings; remove '
                    'it, or choose another work dir'
                )
            if state['done'] and last_checkpoint(folder).is_file():
                return state
            state['done'] = False
        write_json(memo, state)
        if self.gpus > 1:
            command = ['bash', str(ROOT / 'tools/dist_train.sh'), str(config)]
            command += [str(self.gpus)]
        else:
            command = [sys.executable, str(ROOT / 'tools/train.py')]
            command += [str(config)]
        command += ['--work-dir', str(folder)]
        if last_checkpoint(folder).is_file():
            command += ['--resume', str(last_checkpoint(folder))]
        began = time.monotonic()
        try:
            self._processes.call(
                command,
                self.grid.env(run.variant),
                folder / 'train.log',
                follow,
            )
            state['done'] = True
        finally:
            state['seconds'] += time.monotonic() - began
            write_json(memo, state)
        return state


def is_whole(run: Run, record: dict) -> bool:
    """Whether what :meth:`Jobs.read` gave of a run holds all of its tests."""
    return len(record['tests']) == len(run.tests)
