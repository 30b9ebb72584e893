"""Processes side by side, which end together."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from ..machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
# The part of a line of MMEngine's log that says how far a training is.
POSITION = re.compile(r'(?:Epoch|Iter)\(train\).*?eta: [\d:, day]+\d')


class Processes:
    """Those of one grid.

    Args:
        number (int): How many share the cores.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._running = set()
        self._stopping = False

    def call(
        self,
        command: list[str],
        env: dict[str, str],
        log: Path,
        follow: Callable[[str], None],
    ) -> None:
        """Run a program until it ends.

        Args:
            command (list[str]): The program and its arguments.
            env (dict[str, str]): Variables to add to the environment.
            log (Path): Receives what it prints, after what is there.
            follow (Callable): Is told how far a training is.

        Raises:
            RuntimeError: It ended with another exit status than 0, or was
                not started because the others were stopped.
        """
        if self._stopping:
            raise RuntimeError('interrupted')
        with (
            open(log, 'a', encoding='utf-8') as file,
            subprocess.Popen(
                command,
                env={**os.environ, **self._settings(), **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
                # A group of its own: its data loaders end with it.
                start_new_session=True,
            ) as process,
        ):
            self._running.add(process)
            for line in process.stdout:
                file.write(line)
                position = POSITION.search(line)
                if position is not None:
                    follow(position[0])
            process.wait()
            self._running.discard(process)
        if process.returncode:
            raise RuntimeError(f'exit status {process.returncode}, see {log}')

    def stop(self) -> None:
        """End all of them, and start no more."""
        self._stopping = True
        for process in list(self._running):
            os.killpg(process.pid, signal.SIGTERM)

    def _settings(self) -> dict[str, str]:
        paths = [str(ROOT), os.environ.get('PYTHONPATH')]
        settings = dict(PYTHONPATH=os.pathsep.join(filter(None, paths)))
        if not torch.cuda.is_available():
            threads = max(1, describe_machine()['cores'] // self.number)
            for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
                settings[name] = str(threads)
        return settings
