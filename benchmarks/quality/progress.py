"""How far a grid is: on a terminal a live bar, in a file a line per run."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from rich import progress
from rich.console import Console


class Progress(ExitStack):
    """Runs done, what every one at work does, and an estimate of the rest.

    Args:
        total (int): Number of runs.
        done (int): How many of them were done before.
        side_by_side (int): Runs at a time.
    """

    def __init__(self, total: int, done: int, side_by_side: int) -> None:
        super().__init__()
        self.total, self.number, self.side_by_side = total, done, side_by_side
        self.seconds = []
        self.console = Console()
        self.bar = self.enter_context(
            progress.Progress(
                progress.TextColumn('{task.description}'),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn('{task.fields[note]}'),
                console=self.console,
                refresh_per_second=2,
            )
        )
        self.all = self.bar.add_task('runs', total=total, note='')
        self.bar.update(self.all, completed=done)
        self.tasks = {}
        self.console.print(f'{done} of {total} runs are done')

    def follow(self, name: str) -> Callable[[str], None]:
        """A function that says what a run does now."""

        def say(note: str) -> None:
            if name not in self.tasks:
                self.tasks[name] = self.bar.add_task(name, total=None, note='')
            self.bar.update(self.tasks[name], note=note)

        return say

    def done(self, name: str, record: dict, seconds: float) -> None:
        """A run has ended, which took so long now."""
        self.number += 1
        self._remove(name)
        self.seconds.append(seconds)
        left = self.total - self.number
        mean = sum(self.seconds) / len(self.seconds)
        rest = mean * left / min(self.side_by_side, max(left, 1)) / 60
        score = 'trained, for others to start from'
        if record['tests']:
            metrics = next(iter(record['tests'].values()))['metrics']
            metric, value = next(iter(metrics.items()))
            score = f'{100 * value:.1f} {metric}'
        clock = time.strftime('%H:%M')
        self.console.print(
            f'{clock} [{self.number}/{self.total}] {name}: '
            f'{score}, {seconds / 60:.1f} min; about '
            f'{rest:.0f} min left',
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        self.bar.update(
            self.all, completed=self.number, note=f'about {rest:.0f} min left'
        )

    def failed(self, name: str, reason: str) -> None:
        """A run has failed."""
        self.number += 1
        self._remove(name)
        self.console.print(
            f'failed: {name}: {reason}',
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        self.bar.update(self.all, completed=self.number)

    def _remove(self, name: str) -> None:
        if name in self.tasks:
            self.bar.remove_task(self.tasks.pop(name))
