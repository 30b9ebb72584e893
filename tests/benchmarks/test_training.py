"""A training that is begun, gone on with, found done, or refused."""

import json
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from benchmarks import training
from benchmarks.training import is_trained, train_once


class Trainer:
    """Leaves a checkpoint as MMEngine does, after as many epochs of 4."""

    def __init__(self, folder):
        self.folder = folder
        self.epochs = 4
        self.calls = []
        self.said = []

    def train(self, arguments):
        self.calls.append(arguments)
        name = f'epoch_{self.epochs}.pth'
        torch.save({}, self.folder / name)
        (self.folder / 'last_checkpoint').write_text(f'/elsewhere/{name}')
        if self.epochs < 4:
            raise RuntimeError('interrupted')

    def once(self, **settings):
        return train_once(
            self.folder, settings, self.train, self.said.append, note='new'
        )


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    clock = SimpleNamespace(monotonic=count(0, 10).__next__)  # 10 s a look
    monkeypatch.setattr(training, 'time', clock)
    return Trainer(tmp_path / 'run')


def test_a_training_leaves_a_memo(trainer):
    memo = trainer.once(size=(2, 3))
    assert memo == dict(
        settings=dict(size=[2, 3]),
        note='new',
        done='epoch_4.pth',
        seconds=10,
    )
    assert json.loads((trainer.folder / 'training.json').read_text()) == memo
    assert trainer.calls == [['--work-dir', str(trainer.folder)]]


def test_what_is_done_is_not_repeated(trainer):
    first = trainer.once()
    assert is_trained(trainer.folder, {})
    assert trainer.once() == first
    assert len(trainer.calls) == 1
    assert trainer.said == [
        f'done before; to train anew, remove {trainer.folder}'
    ]


def test_notes_of_today_are_not_given_to_what_was_trained_before(trainer):
    memo = trainer.once()
    path = trainer.folder / 'training.json'
    del memo['note']
    path.write_text(json.dumps(memo))
    assert trainer.once() == memo


def test_what_was_interrupted_goes_on(trainer):
    trainer.epochs = 2
    with pytest.raises(RuntimeError, match='interrupted'):
        trainer.once()
    assert not is_trained(trainer.folder, {})
    trainer.epochs = 4
    assert trainer.once()['seconds'] == 10 + 10
    checkpoint = str(trainer.folder / 'epoch_2.pth')
    assert trainer.calls[1][2:] == ['--resume', checkpoint]
    assert trainer.said == [f'going on from {checkpoint}']


def test_what_is_lost_is_begun_anew(trainer):
    """Its seconds are not those of the new one, nor is it done at once."""
    trainer.once()
    (trainer.folder / 'epoch_4.pth').unlink()
    assert not is_trained(trainer.folder, {})
    trainer.epochs = 2
    with pytest.raises(RuntimeError):
        trainer.once()
    assert '--resume' not in trainer.calls[1]
    memo = json.loads((trainer.folder / 'training.json').read_text())
    assert (memo['done'], memo['seconds']) == (None, 10)


def test_the_last_epoch_is_trained_again_if_it_is_lost(trainer):
    """An earlier checkpoint is not the result, but one to go on from."""
    trainer.once()
    earlier = trainer.folder / 'epoch_3.pth'
    (trainer.folder / 'epoch_4.pth').rename(earlier)
    assert not is_trained(trainer.folder, {})
    trainer.once()
    assert trainer.calls[1][2:] == ['--resume', str(earlier)]
    assert is_trained(trainer.folder, {})


def test_other_settings_are_refused(trainer):
    trainer.once(lr=1)
    with pytest.raises(ValueError, match=r'other settings \(lr\)'):
        trainer.once(lr=2)
    assert len(trainer.calls) == 1
    assert is_trained(trainer.folder, dict(lr=1))
    assert not is_trained(trainer.folder, dict(lr=2))


def test_a_foreign_folder_is_refused(trainer):
    trainer.folder.mkdir()
    (trainer.folder / 'thesis.tex').touch()
    with pytest.raises(FileExistsError, match='something else'):
        trainer.once()
    assert trainer.calls == []
