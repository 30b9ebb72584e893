"""What is written when a process dies or a disk is full is whole, or gone."""

import errno
import multiprocessing
import os
import signal
import subprocess

import pytest
import torch
from mmengine.fileio import LocalBackend

from mmdet_metaanchor.runtime.checkpoints import last_checkpoint
from mmdet_metaanchor.runtime.files import WholeBackend, replacing
from mmdet_metaanchor.runtime.interruptions import (
    full_disk_in_one_line,
    go_on,
    survive_interruptions,
)


def die_in_the_middle(self, obj, filepath):
    with open(filepath, 'wb') as file:
        file.write(obj[: len(obj) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def save(path, content):
    """As MMEngine saves a checkpoint."""
    torch.save(content, path)
    return path.read_bytes()


def in_a_process(function, *args):
    process = multiprocessing.get_context('fork').Process(
        target=function, args=args
    )
    process.start()
    process.join(60)
    return process.exitcode


def test_killed_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    epoch_1, epoch_2 = tmp_path / 'epoch_1.pth', tmp_path / 'epoch_2.pth'
    before = save(epoch_1, dict(weight=torch.ones(1000)))
    (tmp_path / 'last_checkpoint').write_text(str(epoch_1))
    monkeypatch.setattr(LocalBackend, 'put', die_in_the_middle)
    for path in (epoch_2, epoch_1):  # a new one, and one in the place of it
        code = in_a_process(WholeBackend().put, before * 2, str(path))
        assert code == -signal.SIGKILL
    assert epoch_1.read_bytes() == before
    assert not epoch_2.exists()
    assert last_checkpoint(tmp_path) == epoch_1


def test_mmengine_leaves_half_of_it(tmp_path, monkeypatch):
    """What the backend is for; also, that the test above can fail."""
    path = tmp_path / 'epoch_2.pth'
    monkeypatch.setattr(LocalBackend, 'put', die_in_the_middle)
    in_a_process(LocalBackend().put, b'12345678', str(path))
    assert path.read_bytes() == b'1234'


def _write_and_die(path):
    with replacing(path) as part:
        part.write_text('half')
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_while_a_record_is_written(tmp_path):
    path = tmp_path / 'record.json'
    path.write_text('whole')
    assert in_a_process(_write_and_die, path) == -signal.SIGKILL
    assert path.read_text() == 'whole'
    with replacing(path) as part:  # what was left behind is in nobody's way
        part.write_text('new')
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_the_last_whole_checkpoint(tmp_path):
    assert not last_checkpoint(tmp_path).exists()
    marker = tmp_path / 'last_checkpoint'
    for epoch in (1, 2, 3):
        path = tmp_path / f'epoch_{epoch}.pth'
        content = save(path, dict(weight=torch.full((1000,), epoch)))
        os.utime(path, (epoch, epoch))
    # Folders get moved, and their names with them.
    marker.write_text('/elsewhere/epoch_2.pth')
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'
    # Half of one is none; the others go by their age.
    (tmp_path / 'epoch_2.pth').write_bytes(content[: len(content) // 2])
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_3.pth'
    marker.write_text('')  # killed while it was written
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_3.pth'
    path.write_bytes(b'')
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


def test_nothing_to_go_on_from(tiny, capsys):
    go_on(tiny, 'auto')
    assert 'the training begins' in capsys.readouterr().out
    assert not tiny.get('resume')


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB."""
    path = tmp_path / 'disk'
    path.mkdir()
    options = ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(path)]
    try:
        done = subprocess.run(['mount', *options], capture_output=True)
    except FileNotFoundError:
        pytest.skip('there is no mount command')
    if done.returncode:
        pytest.skip(f'cannot mount a tmpfs: {done.stderr.decode().strip()}')
    yield path
    subprocess.run(['umount', str(path)], check=True)


def test_full_disk(small_disk):
    path = small_disk / 'epoch_1.pth'
    content = save(path, dict(weight=torch.ones(5000)))  # 20 KB of 64
    with pytest.raises(OSError) as raised:
        WholeBackend().put(content * 3, str(path))
    assert raised.value.errno == errno.ENOSPC
    assert path.read_bytes() == content
    assert list(small_disk.iterdir()) == [path]  # no part takes its space


def test_full_disk_is_said_in_one_line():
    with pytest.raises(SystemExit) as end, full_disk_in_one_line():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert 'No space left on device' in end.value.code
    assert '\n' not in end.value.code
    with pytest.raises(PermissionError), full_disk_in_one_line():
        raise PermissionError(errno.EACCES, 'no')


def test_a_training_that_is_to_write_no_checkpoints(tiny):
    survive_interruptions(tiny)
    assert tiny.default_hooks.checkpoint.backend_args.backend == 'whole'
    tiny.default_hooks.checkpoint = None  # which is how MMEngine has it
    survive_interruptions(tiny)
    assert tiny.default_hooks.checkpoint is None
