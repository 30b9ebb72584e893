"""Trainings of a grid: side by side, in processes of their own, resumable."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from mmdet_metaanchor.datasets.digits import make_digits
from mmdet_metaanchor.runtime.checkpoints import last_checkpoint
from mmdet_metaanchor.runtime.files import read_json, write_json

from ..machine import describe_commit, describe_machine, describe_versions
from ..training import is_trained, train_once
from .processes import ROOT, Processes, alone
from .progress import Progress
from .records import Records
from .runs import Run


class Jobs:
    """Runs of a grid, trained and tested.

    What has a record is not done again, wherever that was. Config, log and
    checkpoint of a run are in a folder of ``work_dir``, from which an
    interrupted one goes on. A run on several GPUs starts tools/dist_train.sh.

    Args:
        records (Records): Those of the grid.
        work_dir (Path): Folder for everything else.
        number (int): Runs side by side, which share the cores.
    """

    def __init__(
        self, records: Records, work_dir: Path, number: int = 1
    ) -> None:
        self.records = records
        self.grid = records.grid
        self.work_dir = work_dir.resolve()
        self.number = number

    def is_trained(self, run: Run) -> bool:
        """Whether the training of a run has ended, and its files are here."""
        return is_trained(
            self.work_dir / run.name, self.records.training_settings(run)
        )

    def trained(self, run: Run) -> tuple[Path, Path]:
        """Config and checkpoint of a run whose training has ended."""
        folder = self.work_dir / run.name
        return self._config(run), last_checkpoint(folder)

    def run(self, runs: Sequence[Run]) -> list[str]:
        """Do what is not done yet.

        Returns:
            list[str]: A line for every run that failed.

        Raises:
            ValueError: A file is not of these runs, or another process is at
                work in ``work_dir``.
        """
        waiting = [run for run in runs if not self.records.is_done(run)]
        waves = self._waves(waiting)
        names = (name for run in waiting for name in self.records.data(run))
        for name in dict.fromkeys(names):
            self._make(name)
        # Before the threads start: to read a config changes the environment,
        # which they share. What is read once is kept.
        for run in waiting:
            self.records.settings(run)
            self.records.annotations(run)
        number = max(1, min(self.number, len(waiting)))
        failures = []
        for folder in (self.work_dir, self.records.folder):
            folder.mkdir(parents=True, exist_ok=True)
        with (
            alone(self.work_dir / 'lock') as lock,
            # Another with a work dir of its own would train the same runs.
            alone(self.records.folder / '.lock'),
            Progress(len(runs), len(runs) - len(waiting), number) as bar,
            ThreadPoolExecutor(number) as pool,
        ):
            processes = Processes(number, self.records.gpus, lock)
            try:
                for wave in waves:
                    futures = {
                        pool.submit(
                            self._do, run, processes, bar.follow(str(run))
                        ): run
                        for run in wave
                    }
                    while futures:
                        # With a timeout, so that Ctrl-C is heard.
                        done, _ = wait(futures, 1, FIRST_COMPLETED)
                        for future in done:
                            run = futures.pop(future)
                            error = future.exception()
                            if error is None:
                                bar.done(str(run), *future.result())
                            else:
                                failures.append(f'{run}: {error}')
                                bar.failed(str(run), str(error))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                processes.stop()
                raise
        return failures

    def _waves(self, waiting: Sequence[Run]) -> list[list[Run]]:
        """Runs that others start from, or that start from none; the others.

        Raises:
            ValueError: What a run starts from is neither here nor among them.
        """
        waves = [[], []]
        for run in waiting:
            start = self.records.start(run)
            waves[start is not None].append(run)
            if start is None or self.is_trained(start):
                continue
            if start.name not in [other.name for other in waiting]:
                advice = f'add {start.variant} to --only'
                if self.records.path(start).is_file():
                    advice = (
                        'copy that folder here, or remove '
                        f'{self.records.path(start)} to train it anew'
                    )
                raise ValueError(
                    f'{run} starts from {self.work_dir / start.name}, where '
                    f'no training has ended; {advice}'
                )
        return waves

    def _config(self, run: Run) -> Path:
        # Not in the run's folder, where MMEngine writes what it came to.
        return self.work_dir / 'configs' / f'{run.name}.py'

    def _make(self, data: str) -> None:
        """Make the digits of a data set, if it is made of digits."""
        settings = self.grid.data[data].get('make')
        if settings is not None:
            folder = self.grid.data[data]['env']['DIGITS_ROOT']
            make_digits(folder, **settings)

    def _do(
        self, run: Run, processes: Processes, follow: Callable[[str], None]
    ) -> tuple[dict, float]:
        """Train and test; the record, and the seconds that this took."""
        began = time.monotonic()
        folder = self.work_dir / run.name
        trains = self.grid.variants[run.variant].get('trained', True)
        start = self.records.start(run)
        path = self.records.path(run)
        if trains and path.is_file() and not self.is_trained(run):
            raise ValueError(
                f'{path} lacks tests that the tables ask for, and '
                f'what was trained is not in {folder}; copy that folder '
                'here, or remove the file to train anew'
            )
        begin = {}
        if start is not None:
            if not self.is_trained(start):  # it has failed just now
                raise ValueError(
                    f'{self.work_dir / start.name} has not been trained to '
                    'its end'
                )
            begin = dict(load_from=str(self.trained(start)[1]))
        config = self._config(run)
        config.parent.mkdir(exist_ok=True)
        config.write_text(
            self.grid.config(
                run.variant,
                randomness=dict(seed=run.seed),
                # MMEngine removes one before it writes the next.
                default_hooks=dict(checkpoint=dict(max_keep_ckpts=2)),
                **begin,
            )
        )
        training = dict(seconds=0.0)
        if trains:
            training = self._train(run, config, folder, processes, follow)
        trained = time.monotonic()
        folder.mkdir(exist_ok=True)  # there, if something was trained
        out = folder / 'tests.json'
        follow('testing')
        processes.call(
            [sys.executable, '-m', f'{__package__}.evaluate']
            + [str(self.grid.path), json.dumps(run), str(config)]
            + [str(self.trained(run if trains else start)[1]), str(out)],
            {},  # every test has its own
            folder / 'test.log',
            follow,
        )
        tested_on = _describe_here(processes)
        record = dict(
            variant=run.variant,
            seed=run.seed,
            settings=self.records.settings(run),
            start_digest=self.records.start_digest(run),
            annotations=self.records.annotations(run),
            tests={
                name: dict(result, definition=self.grid.definition(test))
                for (name, result), test in zip(
                    read_json(out).items(), run.tests, strict=True
                )
            },
            seconds=dict(
                training=round(training['seconds'], 1),
                tests=round(time.monotonic() - trained, 1),
            ),
            # Of the training, where its memo says it.
            **{key: training.get(key, tested_on[key]) for key in tested_on},
            tested_on=tested_on,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
        return record, time.monotonic() - began

    def _train(
        self,
        run: Run,
        config: Path,
        folder: Path,
        processes: Processes,
        follow: Callable[[str], None],
    ) -> dict:
        """Train, or go on, or do nothing where that is done; the memo."""
        if self.records.gpus > 1:
            command = ['bash', str(ROOT / 'tools/dist_train.sh'), str(config)]
            command += [str(self.records.gpus)]
        else:
            command = [sys.executable, str(ROOT / 'tools/train.py')]
            command += [str(config)]

        def train(arguments: list[str]) -> None:
            processes.call(
                command + arguments,
                self.grid.env(run.variant),
                folder / 'train.log',
                follow,
            )

        notes = _describe_here(processes)
        settings = self.records.training_settings(run)
        return train_once(folder, settings, train, follow, **notes)


def _describe_here(processes: Processes) -> dict:
    """What a training or its tests run on, for the record."""
    return dict(
        side_by_side=processes.number,
        machine=describe_machine(),
        versions=describe_versions(),
        commit=describe_commit(),
    )
