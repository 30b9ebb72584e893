"""The two detectors of the demo: training each once, in a process of its own.

A training that was interrupted goes on, and a finished one is not repeated.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from mmengine.config import Config

from ..files import write_json
from ..launch import add_common_arguments, last_checkpoint, load_config
from ..machine import describe_machine


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
        dict: ``config``, its ``settings``, numbers of ``images`` in train
        and val, the ``machine``, and ``seconds`` of wall time, interrupted
        trainings included.

    Raises:
        FileExistsError: ``folder`` holds something else than a training with
            these settings.
        RuntimeError: tools/train.py failed.
    """
    cfg = read_config(twin, options)
    record = dict(
        config=twin.config,
        # Through JSON and back, to be comparable with what a file holds.
        settings=json.loads(json.dumps(cfg.to_dict(), default=str)),
        images={
            split: _count_images(cfg[f'{split}_dataloader'].dataset)
            for split in ('train', 'val')
        },
        machine=describe_machine(),
        seconds=0.0,
    )
    memo = folder / 'demo.json'
    if memo.is_file():
        before = json.loads(memo.read_text())
        if before['settings'] != record['settings']:
            raise FileExistsError(
                f'{folder} holds a training with other settings; remove it, '
                'or choose another --work-dir'
            )
        record = before
    elif folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f'{folder} is not of this demo; choose another --work-dir'
        )
    checkpoint = last_checkpoint(folder)
    if not checkpoint.is_file():
        checkpoint = None
    elif checkpoint.stem == f'epoch_{cfg.train_cfg.max_epochs}':
        print(f'  done before; to train anew, remove {folder}', flush=True)
        return record
    else:
        print(f'  going on from {checkpoint}', flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(memo, record)
    begin, earlier = time.monotonic(), record['seconds']
    try:
        _run_trainer(twin, folder, checkpoint, options, log)
    finally:
        record['seconds'] = earlier + time.monotonic() - begin
        write_json(memo, record)
    return record


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


def _run_trainer(twin, folder, checkpoint, options, log) -> None:
    """Run tools/train.py, its output on the screen and in the log."""
    command = [sys.executable, 'tools/train.py', twin.config]
    command += ['--work-dir', str(folder)]
    if checkpoint is not None:
        command += ['--resume', str(checkpoint)]
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
