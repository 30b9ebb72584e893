"""A training in a folder of its own starts, resumes, and is never repeated."""

import time
from collections.abc import Callable
from pathlib import Path

from mmdet_metaanchor.runtime.checkpoints import last_checkpoint
from mmdet_metaanchor.runtime.files import (
    as_json,
    go_on_from,
    read_json,
    write_json,
)

MEMO = 'training.json'


def train_once(
    folder: Path,
    settings: dict,
    train: Callable[[list[str]], None],
    say: Callable[[str], None],
    **notes,
) -> dict:
    """Train, or go on where that was interrupted, or find it done.

    Args:
        folder (Path): Work dir of the training, where its memo is kept.
        settings (dict): What decides the training.
        train (Callable): Trains until the end, and raises if it fails. Gets
            the arguments that tools/train.py needs beside the config.
        say (Callable): Is told if there is less to do than a training.
        **notes: Of a new training, JSON values, for its memo.

    Returns:
        dict: The memo: ``settings``, the notes, the name of the checkpoint
        if it is ``done``, and ``seconds`` of wall time; what was interrupted
        counts, unless the process was killed.

    Raises:
        FileExistsError: ``folder`` holds something else than a training.
        ValueError: It holds one with other settings.
    """
    path = folder / MEMO
    if not path.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(
            f'{folder} holds something else than a training, for it has no '
            f'{MEMO}; remove it, or choose another work dir'
        )
    new = dict(notes, done=None, seconds=0.0)
    before = go_on_from(path, settings)
    memo = new | before
    checkpoint = last_checkpoint(folder)
    arguments = ['--work-dir', str(folder)]
    if not checkpoint.is_file():
        memo |= new  # lost, if it was there
    elif memo['done'] == checkpoint.name:
        say(f'done before; to train anew, remove {folder}')
        return before  # without notes that came later than its training
    else:
        say(f'going on from {checkpoint}')
        arguments += ['--resume', str(checkpoint)]
        memo['done'] = None  # the last epoch is lost, if it was there
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, memo)
    began, earlier = time.monotonic(), memo['seconds']
    try:
        train(arguments)
        memo['done'] = last_checkpoint(folder).name
    finally:
        memo['seconds'] = earlier + time.monotonic() - began
        write_json(path, memo)
    return memo


def is_trained(folder: Path, settings: dict) -> bool:
    """Whether the folder holds a training that has come to its end.

    Args:
        folder (Path): Work dir of the training.
        settings (dict): What decides the training; one with other settings
            is another one.
    """
    path = folder / MEMO
    if not path.is_file():
        return False
    memo = read_json(path)
    checkpoint = last_checkpoint(folder)
    return (
        memo['settings'] == as_json(settings)
        and memo['done'] == checkpoint.name
        and checkpoint.is_file()
    )
