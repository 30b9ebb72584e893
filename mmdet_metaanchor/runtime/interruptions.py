"""A training that is killed, or whose disk is full, loses nothing."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from .checkpoints import last_checkpoint, read_checkpoint
from .exact_loops import use_exact_loop


def survive_interruptions(cfg: Config) -> None:
    """Let a training go on exactly, and its checkpoints be whole or not there.

    Where a config says how checkpoints are stored, that stays. Two are kept
    instead of one, since MMEngine removes the old one before it writes the
    new one.

    Args:
        cfg (Config): Config of a training, changed in place.
    """
    use_exact_loop(cfg)
    hooks = cfg.get('default_hooks') or {}
    if hooks.get('checkpoint', True) is None:  # it is to write none
        return
    hook = dict(hooks.get('checkpoint') or dict(type='CheckpointHook'))
    if not {'out_dir', 'backend_args', 'file_client_args'} & hook.keys():
        hook['backend_args'] = dict(backend='whole')
    if hook.get('max_keep_ckpts') == 1:
        hook['max_keep_ckpts'] = 2
    cfg.default_hooks = dict(hooks, checkpoint=hook)


def go_on(cfg: Config, name: str | None) -> None:
    """Let a training go on from a checkpoint, with the seed that it had.

    Args:
        cfg (Config): Config of a training, changed in place.
        name (str | None): The checkpoint, or 'auto' for the last whole one
            of the work dir; if there is none, that which the config resumes,
            and else the training begins. None for that which the config
            resumes first, and else as 'auto'.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no checkpoint of a training.
    """
    own = cfg.get('load_from') if cfg.get('resume') else None
    if name is None:
        name = own or 'auto'
    if name == 'auto':
        path = last_checkpoint(Path(cfg.work_dir))
        name = str(path) if path.is_file() else own
        if not name:
            print(f'{cfg.work_dir} holds no checkpoint: the training begins')
            return
        print(f'The training goes on from {name}')
    content = read_checkpoint(name)
    if 'optimizer' not in content or 'iter' not in content.get('meta', {}):
        raise ValueError(
            f'{name} has weights, but no state of a training to go on from; '
            f'to begin with these weights, set load_from={name} in the config '
            'or by --cfg-options, and do not resume'
        )
    cfg.resume, cfg.load_from = True, name
    seed = content['meta'].get('seed')
    if seed is not None:  # MMEngine draws one where the config has none
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)


@contextmanager
def full_disk_in_one_line() -> Iterator[None]:
    """End the program with one line when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(
            f'{Path(sys.argv[0]).name}: error: {error.strerror}; the '
            'checkpoints that were written are whole: free some space, and '
            'go on with --resume'
        )
