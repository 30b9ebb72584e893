"""The two detectors of the demo: training each once, in a process of its own.

A training that was interrupted goes on, and a finished one is not repeated.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from mmengine.config import Config

from mmdet_metaanchor.runtime.command_line import (
    add_common_arguments,
    load_config,
)

from ..machine import describe_machine
from ..training import train_once


class Twin(NamedTuple):
    """A detector of the comparison; its config, from the repository on."""

    name: str
    folder: str
    config: str


class Scalars(NamedTuple):
    """What MMEngine logged of a training.

    ``train`` holds a line of losses by iteration, ``val`` one of metrics by
    epoch, both counted from 1 and in ascending order.
    """

    train: dict[int, dict]
    val: dict[int, dict]


STOCK = Twin(
    'RetinaNet', 'retinanet', 'configs/digits/retinanet_r18-w32_digits.py'
)
META = Twin(
    'MetaAnchor',
    'meta-retinanet',
    'configs/digits/meta-retinanet_r18-w32_digits.py',
)


def read_config(twin: Twin, options: Sequence[str]) -> Config:
    """The config as tools/train.py reads it with these ``--cfg-options``."""
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    return load_config(
        parser.parse_args([twin.config, '--cfg-options', *options])
    )


def train(
    twin: Twin, folder: Path, options: Sequence[str], log: TextIO
) -> dict:
    """Train ``twin``, unless that is done; go on where it was interrupted.

    Args:
        twin (Twin): What to train. The current directory must be the
            repository.
        folder (Path): Work dir.
        options (Sequence[str]): Settings ``key=value``.
        log (TextIO): Receives what the training prints, as the screen does.

    Returns:
        dict: What :func:`.training.train_once` returns, with ``config``,
        numbers of ``images`` in train and val, and the ``machine``.

    Raises:
        FileExistsError: ``folder`` holds something else than a training.
        ValueError: It holds one with other settings.
        RuntimeError: tools/train.py failed.
    """
    cfg = read_config(twin, options)
    return train_once(
        folder,
        cfg.to_dict(),
        lambda arguments: _run_trainer(twin, arguments, options, log),
        lambda text: print(f'  {text}', flush=True),
        config=twin.config,
        images={
            split: _count_images(cfg[f'{split}_dataloader'].dataset)
            for split in ('train', 'val')
        },
        machine=describe_machine(),
    )


def read_scalars(work_dir: Path) -> Scalars:
    """Read the log of a training, however often it was resumed.

    Each run of MMEngine has a folder of its own, named by its time. What a
    later run did again counts, not what the earlier one logged of it.

    Args:
        work_dir (Path): Work dir of the training.

    Raises:
        FileNotFoundError: No run has logged anything.
    """
    pattern = '*/vis_data/scalars.json'
    train, val = {}, {}
    for path in sorted(work_dir.glob(pattern)):
        run_train, run_val = {}, {}
        for line in path.read_text().splitlines():
            try:
                content = json.loads(line)
            except ValueError:
                continue  # cut off where a run was killed
            # MMEngine counts epochs in the lines of val.
            kind = run_train if 'loss' in content else run_val
            kind[content['step']] = content
        train, val = _continue(train, run_train), _continue(val, run_val)
    if not train:
        raise FileNotFoundError(f'no losses in {work_dir / pattern}')
    return Scalars(train, val)


def _continue(earlier: dict[int, dict], later: dict[int, dict]) -> dict:
    """Join two logs; the later one holds from its first step on."""
    first = min(later, default=float('inf'))
    return {**{s: c for s, c in earlier.items() if s < first}, **later}


def _run_trainer(
    twin: Twin, arguments: list[str], options: Sequence[str], log: TextIO
) -> None:
    """Run tools/train.py, its output on the screen and in the log."""
    command = [sys.executable, 'tools/train.py', twin.config, *arguments]
    command += ['--cfg-options', *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    ) as process:
        for line in process.stdout:
            print(line, end='', flush=True)
            log.write(line)
    if process.returncode:
        raise RuntimeError(
            f'tools/train.py ended with exit status {process.returncode}'
        )


def _count_images(dataset: Config) -> int:
    path = Path(dataset.data_root, dataset.ann_file)
    return len(json.loads(path.read_text())['images'])
