"""Processes side by side, which end together."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock

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
        self._lock = Lock()
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
        last = ''  # line, which says why a program failed
        with open(log, 'a', encoding='utf-8') as file:
            process = self._start(command, {**os.environ, **env})
            try:
                for line in process.stdout:
                    file.write(line)
                    last = line.strip() or last
                    position = POSITION.search(line)
                    if position is not None:
                        follow(position[0])
                process.wait()
            finally:
                self._end(process)
        if process.returncode:
            raise RuntimeError(
                f'exit status {process.returncode}, {last}, see {log}'
            )

    def stop(self) -> None:
        """End all of them, and start no more."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                _kill(process)

    def _start(self, command: list[str], env: dict) -> subprocess.Popen:
        # Under the lock, so that none starts while all are being stopped.
        with self._lock:
            if self._stopping:
                raise RuntimeError('interrupted')
            process = subprocess.Popen(
                command,
                env={**env, **self._settings(env)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
                # A group of its own: its data loaders end with it.
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen) -> None:
        with self._lock:
            self._running.discard(process)
            _kill(process)
        process.stdout.close()

    def _settings(self, env: dict[str, str]) -> dict[str, str]:
        paths = [str(ROOT), env.get('PYTHONPATH')]
        settings = dict(
            PYTHONPATH=os.pathsep.join(filter(None, paths)),
            PYTHON=sys.executable,  # of tools/dist_train.sh
        )
        if not torch.cuda.is_available():
            threads = max(1, describe_machine()['cores'] // self.number)
            for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
                settings[name] = str(threads)
        return settings


def _kill(process: subprocess.Popen) -> None:
    """End a process that may have ended, and what it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
