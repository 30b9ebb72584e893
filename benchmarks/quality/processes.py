"""Processes side by side, which end together."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import torch

from ..machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
# The part of a line of MMEngine's log that says how far a training is.
POSITION = re.compile(r'(?:Epoch|Iter)\(train\).*?eta: [\d:, day]+\d')


@contextmanager
def alone(path: Path) -> Iterator[int]:
    """Hold a lock file, whose descriptor is for all that is started.

    So what outlives us is noticed, and does not get company.

    Raises:
        ValueError: Another process holds it.
    """
    with open(path, 'w', encoding='utf-8') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'another process is at work in {path.parent}, perhaps a '
                'training that was left behind; let it end, or choose '
                'another folder'
            ) from None
        yield file.fileno()


class Processes:
    """Those of one grid.

    Args:
        number (int): How many share the cores.
        gpus (int): GPUs of each of them, where there are any.
        lock (int): The descriptor of :func:`alone`.
    """

    def __init__(self, number: int, gpus: int, lock: int) -> None:
        self.number = number
        self.gpus = gpus
        self._lock_file = lock
        self._running = {}  # and on which GPU
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
            gpu = self._choose_gpu(env)
            if gpu is not None:
                env = {**env, 'CUDA_VISIBLE_DEVICES': gpu}
            process = subprocess.Popen(
                command,
                env={**env, **self._settings(env)},
                pass_fds=[self._lock_file],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
                # A group of its own: its data loaders end with it.
                start_new_session=True,
            )
            self._running[process] = gpu
        return process

    def _end(self, process: subprocess.Popen) -> None:
        with self._lock:
            self._running.pop(process, None)
            _kill(process)
        process.stdout.close()

    def _choose_gpu(self, env: dict[str, str]) -> str | None:
        """The GPU with the fewest of these processes, if they take one."""
        if self.gpus > 1 or not torch.cuda.is_available():
            return None
        visible = env.get('CUDA_VISIBLE_DEVICES')
        if visible is None:
            names = [str(i) for i in range(torch.cuda.device_count())]
        else:
            names = visible.split(',')
        busy = Counter(self._running.values())
        return min(names, key=lambda name: busy[name])

    def _settings(self, env: dict[str, str]) -> dict[str, str]:
        paths = [str(ROOT), env.get('PYTHONPATH')]
        settings = dict(
            PYTHONPATH=os.pathsep.join(filter(None, paths)),
            PYTHON=sys.executable,  # of tools/dist_train.sh
        )
        if not torch.cuda.is_available():
            sharing = self.number * self.gpus
            threads = max(1, describe_machine()['cores'] // sharing)
            for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
                settings[name] = str(threads)
        return settings


def _kill(process: subprocess.Popen) -> None:
    """End a process, and what it has started, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
