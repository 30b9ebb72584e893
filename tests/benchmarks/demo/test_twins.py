"""Training each twin once: resume, reuse, refuse; and the joined log."""

import io
import json
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks.demo import twins
from benchmarks.demo.twins import STOCK, read_scalars, train


def write_log(work_dir, run, lines):
    path = work_dir / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)) + '\n')
    return path


def losses(steps, run):
    return [dict(loss=1.0, run=run, step=step) for step in steps]


def test_a_resumed_log_is_joined(tmp_path):
    # The first run ended at iteration 60 and saved at 40, after epoch 4.
    first = losses([20, 40, 60], 1) + [{'coco/bbox_mAP': 0.1, 'step': 4}]
    again = losses([60, 80], 2) + [{'coco/bbox_mAP': 0.2, 'step': 8}]
    write_log(tmp_path, '20250101_235959', first)
    write_log(tmp_path, '20250102_000000', again)
    log = read_scalars(tmp_path)
    assert {s: line['run'] for s, line in log.train.items()} == {
        20: 1,
        40: 1,
        60: 2,
        80: 2,
    }
    assert [line['coco/bbox_mAP'] for line in log.val.values()] == [0.1, 0.2]
    assert list(log.val) == [4, 8]


def test_a_log_begun_anew_replaces_the_old_one(tmp_path):
    write_log(tmp_path, '1', losses([20, 40, 60], 1))
    write_log(tmp_path, '2', losses([20], 2))
    assert list(read_scalars(tmp_path).train) == [20]


def test_a_line_cut_off_is_passed_over(tmp_path):
    path = write_log(tmp_path, '1', losses([20, 40], 1))
    path.write_text(path.read_text()[:-10])
    assert list(read_scalars(tmp_path).train) == [20]


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='scalars.json') as error:
        read_scalars(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """A trainer that notes its call and leaves a checkpoint; no training."""
    (tmp_path / 'train.json').write_text('{"images": [1, 2, 3]}')
    (tmp_path / 'val.json').write_text('{"images": [1]}')
    cfg = dict(option=[])
    for split in ('train', 'val'):
        dataset = dict(data_root=str(tmp_path), ann_file=f'{split}.json')
        cfg[f'{split}_dataloader'] = dict(dataset=dataset)

    class Trainer:
        def __init__(self):
            self.calls = []

        def read(self, twin, options):
            return Config({**cfg, 'option': list(options)})

        def run(self, twin, arguments, options, log):
            self.calls.append((twin, options))
            folder = Path(arguments[1])
            (folder / 'epoch_4.pth').touch()
            # MMEngine notes where the folder was.
            (folder / 'last_checkpoint').write_text('/elsewhere/epoch_4.pth')

    trainer = Trainer()
    monkeypatch.setattr(twins, 'read_config', trainer.read)
    monkeypatch.setattr(twins, '_run_trainer', trainer.run)
    return trainer


def run(folder, options=()):
    return train(STOCK, folder, options, io.StringIO())


def test_a_finished_training_is_reused(tmp_path, trainer, capsys):
    folder = tmp_path / 'twin'
    first = run(folder)
    assert first['images'] == dict(train=3, val=1)
    assert first['config'] == STOCK.config
    assert run(folder) == first
    assert trainer.calls == [(STOCK, ())]
    assert f'to train anew, remove {folder}' in capsys.readouterr().out


def test_other_options_are_other_settings(tmp_path, trainer):
    run(tmp_path / 'twin')
    with pytest.raises(ValueError, match=r'other settings \(option\)'):
        run(tmp_path / 'twin', ['a=1'])
    assert len(trainer.calls) == 1


def test_a_failing_trainer_is_noticed_and_its_words_kept(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / 'train.py').write_text(
        'import sys\nprint(sys.argv)\nsys.exit("out of luck")'
    )
    monkeypatch.chdir(tmp_path)
    log = io.StringIO()
    with pytest.raises(RuntimeError, match='exit status 1'):
        twins._run_trainer(STOCK, ['--resume', 'e.pth'], ['a=1'], log)
    assert 'out of luck' in log.getvalue()
    assert log.getvalue() == capsys.readouterr().out
    assert "'--resume', 'e.pth', '--cfg-options', 'a=1'" in log.getvalue()
