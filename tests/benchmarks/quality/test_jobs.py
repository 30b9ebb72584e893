"""What is done, gone on with or done again, without training anything."""

import json
import threading
from pathlib import Path

import pytest
import torch

from benchmarks.quality.check import Verdict, repeat_cells
from benchmarks.quality.grid import Grid
from benchmarks.quality.jobs import Jobs
from benchmarks.quality.processes import Processes, alone
from benchmarks.quality.records import Records

GRID = """
seeds = [0, 1, 2]
detectors = dict(meta='meta.py')
data = dict(near=dict(env=dict(DATA_ROOT='here')), far=dict())
anchors = dict(one=dict(scales=[4]))
variants = dict(a=dict(detector='meta', data='near'))
tables = dict(t=dict(title='T', columns=['x', 'y'], check=['r', 'y'],
    rows=[['r', 'a', ['a', 'far', 'one']]]))
"""


class Trainer:
    """In the place of the processes: writes what they would write."""

    def __init__(self):
        self.calls = []
        self.scores = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}
        self.interrupt = False

    def call(self, command, env, log, follow):
        training = 'evaluate' not in ' '.join(command)
        self.calls.append((training, command, env))
        if not training:
            _, seed, tests = json.loads(command[4])
            result = dict(metrics=dict(mAP=self.scores[seed]), per_cell=9)
            content = {', '.join(test): result for test in tests}
            Path(command[-1]).write_text(json.dumps(content))
            return
        folder = Path(command[command.index('--work-dir') + 1])
        name = 'epoch_1.pth' if self.interrupt else 'epoch_2.pth'
        torch.save({}, folder / name)
        (folder / 'last_checkpoint').write_text(str(folder / name))
        if self.interrupt:
            raise RuntimeError('interrupted')

    def trainings(self):
        return [command for training, command, _ in self.calls if training]


@pytest.fixture
def trainer(monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(
        Processes, 'call', lambda self, *args: trainer.call(*args)
    )
    return trainer


@pytest.fixture
def make_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('meta.py').write_text(
        'train_dataloader = dict(dataset=dict())\n'
        "test_dataloader = dict(dataset=dict(ann_file='val.json'))\n"
    )

    def make(text=GRID, results='results', gpus=1, number=1):
        Path('grid.py').write_text(text)
        records = Records(Grid('grid.py'), Path(results), gpus)
        return Jobs(records, Path('work'), number)

    return make


def test_a_run_that_has_ended_is_not_done_again(make_jobs, trainer):
    jobs = make_jobs()
    runs = jobs.grid.runs()
    assert jobs.run(runs) == []
    assert len(trainer.calls) == 6  # three trainings and their tests
    assert make_jobs().run(runs) == []
    assert len(trainer.calls) == 6


def test_the_file_is_enough_on_another_machine(make_jobs, trainer):
    jobs = make_jobs()
    jobs.run(jobs.grid.runs())
    Path('work').rename('lost')
    assert make_jobs().run(jobs.grid.runs()) == []
    assert len(trainer.calls) == 6


def test_an_interrupted_training_goes_on_from_its_checkpoint(
    make_jobs, trainer
):
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    trainer.interrupt = True
    assert jobs.run([run]) == ['a, seed 0: interrupted']
    assert '--resume' not in trainer.trainings()[0]
    trainer.interrupt = False
    assert make_jobs().run([run]) == []
    assert trainer.trainings()[1][-2:] == [
        '--resume',
        str(Path('work/a_seed0/epoch_1.pth').resolve()),
    ]


def test_a_grid_goes_on_in_a_folder_that_was_moved(
    make_jobs, trainer, monkeypatch
):
    """No run is lost, and none that was trained is trained again."""
    call = trainer.call

    def interrupt_one(command, env, log, follow):
        trainer.interrupt = 'a_seed1' in ' '.join(command)
        call(command, env, log, follow)

    monkeypatch.setattr(trainer, 'call', interrupt_one)
    jobs = make_jobs()
    assert jobs.run(jobs.grid.runs()) == ['a, seed 1: interrupted']
    Path('work').rename('moved')
    monkeypatch.setattr(trainer, 'call', call)
    trainer.interrupt = False
    again = Jobs(jobs.records, Path('moved'))
    assert again.run(again.grid.runs()) == []
    assert len(trainer.trainings()) == 4
    assert trainer.trainings()[3][-2:] == [
        '--resume',
        str(Path('moved/a_seed1/epoch_1.pth').resolve()),
    ]
    assert all(again.records.is_done(run) for run in again.grid.runs())


def test_a_training_done_again_is_not_taken_for_done(make_jobs, trainer):
    """Its checkpoint is gone, it starts anew, and is interrupted."""
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    jobs.run([run])
    Path('results/a_seed0.json').unlink()
    Path('work/a_seed0/epoch_2.pth').unlink()
    trainer.interrupt = True
    make_jobs().run([run])
    trainer.interrupt = False
    make_jobs().run([run])
    assert len(trainer.trainings()) == 3


def test_only_tests_are_made_for_a_new_cell(make_jobs, trainer):
    jobs = make_jobs()
    jobs.run(jobs.grid.runs())
    more = make_jobs(GRID.replace("'r', 'a', [", "'r', ['a', 'far'], ["))
    assert not any(more.records.is_done(run) for run in more.grid.runs())
    assert more.run(more.grid.runs()) == []
    assert len(trainer.trainings()) == 3


def test_a_file_is_not_replaced_by_another_training(make_jobs, trainer):
    """A new cell takes the checkpoint, which is on another machine."""
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    jobs.run([run])
    path = Path('results/a_seed0.json')
    before = path.read_text()
    Path('work').rename('lost')
    more = make_jobs(GRID.replace("'r', 'a', [", "'r', ['a', 'far'], ["))
    (failure,) = more.run(more.grid.runs()[:1])
    assert 'a_seed0.json lacks tests' in failure
    assert 'copy that folder here' in failure
    assert path.read_text() == before
    assert len(trainer.trainings()) == 1


def test_a_test_of_other_anchors_is_made_again(make_jobs, trainer):
    """The name of the anchors is the same, and what it means is not."""
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    jobs.run([run])
    changed = make_jobs(GRID.replace('scales=[4]', 'scales=[5]'))
    assert list(changed.records.read(run)['tests']) == ['near, trained']
    assert not changed.records.is_done(run)


def test_records_of_other_settings_are_refused(make_jobs, trainer):
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    jobs.run([run])
    with pytest.raises(ValueError, match=r'other settings \(gpus\)'):
        make_jobs(gpus=8).records.read(run)
    text = Path('meta.py').read_text()
    Path('meta.py').write_text(text + 'model = dict(size=3)\n')
    with pytest.raises(ValueError, match=r'other settings \(digest\)'):
        make_jobs().records.read(run)


def test_a_training_on_other_annotations_is_refused(make_jobs, trainer):
    """What the results' folder is does not tell what was trained."""
    jobs = make_jobs()
    text = Path('meta.py').read_text()
    Path('meta.py').write_text(
        text.replace('dataset=dict()', "dataset=dict(ann_file='train.json')")
    )
    Path('train.json').write_text('{"images": []}')
    run = jobs.grid.runs()[0]
    assert jobs.run([run]) == []
    Path('train.json').write_text('{"images": [1]}')
    other = make_jobs(results='other')
    assert not other.is_trained(run)
    (failure,) = other.run([run])
    assert 'other settings (train)' in failure
    assert len(trainer.trainings()) == 1


def test_records_of_other_annotations_are_refused(make_jobs, trainer):
    """The folder has the same name, or another one, and holds other boxes."""
    jobs = make_jobs()
    Path('val.json').write_text('{"images": []}')
    run = jobs.grid.runs()[0]
    jobs.run([run])
    assert make_jobs().records.is_done(run)
    Path('val.json').write_text('{"images": [1]}')
    with pytest.raises(ValueError, match='other annotations of near'):
        make_jobs().records.read(run)
    Path('val.json').unlink()  # a report needs no data
    assert make_jobs().records.is_done(run)


@pytest.mark.parametrize('folder', ['work/lock', 'results/.lock'])
def test_one_harness_per_folder(make_jobs, trainer, folder):
    jobs = make_jobs()
    Path(folder).parent.mkdir()
    with (
        alone(Path(folder)),
        pytest.raises(ValueError, match='another process is at work'),
    ):
        jobs.run(jobs.grid.runs())
    assert trainer.calls == []
    assert jobs.run(jobs.grid.runs()) == []  # it has been let go


def test_runs_are_side_by_side(make_jobs, trainer, monkeypatch):
    """The first two trainings wait for each other."""
    both = threading.Barrier(2, timeout=20)
    call = trainer.call

    def wait_and_call(command, env, log, follow):
        training = 'evaluate' not in ' '.join(command)
        if training and 'seed2' not in command[2]:
            both.wait()
        call(command, env, log, follow)

    monkeypatch.setattr(trainer, 'call', wait_and_call)
    jobs = make_jobs(number=2)
    assert jobs.run(jobs.grid.runs()) == []
    record = json.loads(Path('results/a_seed0.json').read_text())
    assert record['side_by_side'] == 2


def test_trainings_know_their_data_and_tests_find_their_own(
    make_jobs, trainer
):
    """A data set without variables must not get those of the training."""
    jobs = make_jobs()
    jobs.run(jobs.grid.runs()[:1])
    (_, _, training), (_, _, testing) = trainer.calls
    assert training == dict(DATA_ROOT='here')
    assert testing == {}


def test_a_record_says_what_was_trained_on_and_tested_on(
    make_jobs, trainer, monkeypatch
):
    jobs = make_jobs()
    run = jobs.grid.runs()[0]
    jobs.run([run])
    monkeypatch.setattr('benchmarks.quality.jobs.describe_commit', lambda: 'b')
    more = make_jobs(GRID.replace("'r', 'a', [", "'r', ['a', 'far'], ["))
    before = json.loads(Path('results/a_seed0.json').read_text())
    more.run(more.grid.runs()[:1])
    record = json.loads(Path('results/a_seed0.json').read_text())
    assert record['commit'] == before['commit'] != 'b'
    assert record['tested_on']['commit'] == 'b'


def test_data_that_the_grid_has_dropped(make_jobs, trainer):
    jobs = make_jobs()
    jobs.run(jobs.grid.runs())
    fewer = make_jobs(
        GRID.replace(', far=dict()', '').replace("'far', 'one'", "'near'")
    )
    (run, *_) = fewer.grid.runs()
    assert list(fewer.records.read(run)['tests']) == ['near, trained']


def test_several_gpus_are_those_of_dist_train(make_jobs, trainer):
    jobs = make_jobs(gpus=8)
    jobs.run(jobs.grid.runs()[:1])
    command = trainer.trainings()[0]
    assert command[0] == 'bash'
    assert command[1].endswith('tools/dist_train.sh')
    assert command[3] == '8'


def test_the_check_trains_a_seed_of_its_own(make_jobs, trainer):
    jobs = make_jobs()
    jobs.run(jobs.grid.runs())
    anew = make_jobs(results='anew')
    (verdict,) = repeat_cells(jobs.records, anew)
    assert (verdict.table, verdict.row, verdict.column) == ('t', 'r', 'y')
    assert verdict.stated == pytest.approx([10, 20, 30])
    assert verdict.now == pytest.approx(40)
    assert [path.name for path in Path('anew').glob('*.json')] == [
        'a_seed3.json'
    ]


def test_the_check_needs_a_spread(make_jobs, trainer):
    jobs = make_jobs()
    jobs.run(jobs.grid.runs()[:1])
    with pytest.raises(ValueError, match='1 runs of a have ended'):
        repeat_cells(jobs.records, make_jobs(results='anew'))


@pytest.mark.parametrize(('now', 'holds'), [(69.0, True), (70.0, False)])
def test_a_verdict(now, holds):
    """20 + 4.303 * 10 * sqrt(4 / 3) = 69.7; see test_figures.py for 4.303."""
    verdict = Verdict('t', 'r', 'x', [10.0, 20.0, 30.0], now)
    assert verdict.holds is holds


class TestStarts:
    """Variants that begin with the checkpoint of another one."""

    TEXT = (
        GRID.replace(
            "variants = dict(a=dict(detector='meta', data='near'))",
            'variants = dict(\n'
            "    a=dict(detector='meta', data='near'),\n"
            "    b=dict(detector='meta', data='near', start='a'),\n"
            "    c=dict(detector='meta', data='near', start='a',\n"
            '           trained=False),\n'
            ')',
        )
        .replace('seeds = [0, 1, 2]', 'seeds = [0, 1]')
        .replace("['r', 'a', ['a', 'far', 'one']]", "['r', 'b', 'c']")
    )

    def test_begin_with_the_checkpoint_of_their_seed(self, make_jobs, trainer):
        jobs = make_jobs(self.TEXT, number=2)
        runs = jobs.grid.runs()
        # Nothing is asked of a, but others start from it.
        assert [run.name for run in runs] == [
            f'{name}_seed{seed}' for name in 'abc' for seed in (0, 1)
        ]
        assert jobs.run(runs) == []
        trained = [
            Path(command[command.index('--work-dir') + 1]).name
            for command in trainer.trainings()
        ]
        assert sorted(trained[:2]) == ['a_seed0', 'a_seed1']
        assert sorted(trained[2:]) == ['b_seed0', 'b_seed1']
        for seed in (0, 1):
            start = str(Path(f'work/a_seed{seed}/epoch_2.pth').resolve())
            config = Path(f'work/configs/b_seed{seed}.py').read_text()
            assert f'load_from = {start!r}' in config
            (tested,) = (
                command[-2]
                for training, command, _ in trainer.calls
                if not training and f'["c", {seed}' in command[4]
            )
            assert tested == start

    def test_a_start_that_is_elsewhere(self, make_jobs, trainer):
        jobs = make_jobs(self.TEXT)
        jobs.run([run for run in jobs.grid.runs() if run.variant == 'a'])
        Path('work').rename('lost')
        again = make_jobs(self.TEXT)
        with pytest.raises(
            ValueError, match='b, seed 0 starts from .*or remove .*a_seed0'
        ):
            again.run(again.grid.runs())

    def test_a_start_that_was_not_chosen(self, make_jobs, trainer):
        jobs = make_jobs(self.TEXT)
        chosen = [run for run in jobs.grid.runs() if run.variant == 'b']
        with pytest.raises(ValueError, match='add a to --only'):
            jobs.run(chosen)

    def test_a_start_that_failed(self, make_jobs, trainer, monkeypatch):
        """It left a checkpoint, which is not that of its end."""
        call = trainer.call

        def interrupt_one(command, env, log, follow):
            trainer.interrupt = 'a_seed0' in ' '.join(command)
            call(command, env, log, follow)

        monkeypatch.setattr(trainer, 'call', interrupt_one)
        jobs = make_jobs(self.TEXT)
        failures = jobs.run(jobs.grid.runs())
        assert failures[0] == 'a, seed 0: interrupted'
        for variant, failure in zip('bc', failures[1:], strict=True):
            assert failure.startswith(f'{variant}, seed 0: ')
            assert failure.endswith('has not been trained to its end')

    def test_a_start_with_other_settings(self, make_jobs, trainer):
        """The settings of the runs that start from it are as they were."""
        jobs = make_jobs(self.TEXT)
        runs = jobs.grid.runs()
        jobs.run(runs)
        changed = make_jobs(
            self.TEXT.replace(
                "a=dict(detector='meta', data='near')",
                "a=dict(detector='meta', data='near',"
                ' settings=dict(model=dict(size=3)))',
            )
        )
        assert not changed.is_trained(runs[0])
        with pytest.raises(ValueError, match='other settings of a; remove'):
            changed.records.read(runs[2])
        # As that asks; what was trained from the other start is still there.
        Path('results/b_seed0.json').unlink()
        assert not changed.is_trained(runs[2])

    def test_the_check_trains_them(self, make_jobs, trainer):
        jobs = make_jobs(self.TEXT.replace("'r', 'y'", "'r', 'x'"))
        jobs.run(jobs.grid.runs())
        anew = make_jobs(
            self.TEXT.replace("'r', 'y'", "'r', 'x'"), results='anew'
        )
        repeat_cells(jobs.records, anew)
        assert sorted(path.name for path in Path('anew').glob('*.json')) == [
            'a_seed2.json',
            'b_seed2.json',
        ]

    @pytest.mark.parametrize(
        ('old', 'new', 'message'),
        [
            ("start='a')", "start='x')", "'b' asks for 'x'"),
            (
                "'near', start='a',",
                "'near', start='b',",
                "'c' starts from 'b'",
            ),
            ("start='a',\n", '', 'neither trained nor has it a start'),
        ],
    )
    def test_refused(self, make_jobs, old, new, message):
        assert old in self.TEXT
        with pytest.raises(ValueError, match=message):
            make_jobs(self.TEXT.replace(old, new))
