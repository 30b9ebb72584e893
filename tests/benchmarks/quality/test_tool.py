"""-m benchmarks.quality as a user runs it, on tiny detectors."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.quality.__main__ import choose_runs, main
from benchmarks.quality.grid import Grid

ROOT = Path(__file__).resolve().parents[3]
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
TOOL = [sys.executable, '-m', 'benchmarks.quality']
LIMIT = 600  # s of one command, far more than it takes
# Two epochs of two iterations, and twelve of MetaAnchor: long enough to be
# interrupted.
SCHEDULE = """
train_dataloader = dict(batch_size=2, num_workers=1)
val_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_begin=3)
default_hooks = dict(logger=dict(interval=1))
"""
GRID = """
seeds = [0, 1]
detectors = dict(stock='retinanet.py', meta='meta-retinanet.py')
data = dict(
    tiny=dict(env=dict(DATA_ROOT={root!r})),
    far=dict(env=dict(DATA_ROOT='far')),
)
anchors = dict(one=dict(scales=[4], ratios=[1.0]))
variants = dict(
    stock=dict(detector='stock', data='tiny'),
    meta=dict(detector='meta', data='tiny', settings=dict(
        train_cfg=dict(max_epochs=12, val_begin=13),
        model=dict(bbox_head=dict(anchor_function=dict(rank=2))))),
)
tables = dict(tiny=dict(
    title='Tiny detectors', columns=['stock', 'MetaAnchor', 'one', 'chosen'],
    rows=[['2 iterations', ['stock', 'far'], 'meta', ['meta', 'tiny', 'one'],
           ['meta', 'far', 'clustered+searched']]],
    versus='column', check=['2 iterations', 'one'],
))
pictures = dict(images=2, columns=dict(
    stock='stock', one=['meta', 'tiny', 'one'],
    chosen=['meta', 'far', 'clustered+searched']))
"""


@pytest.fixture(scope='module')
def site(tmp_path_factory, tiny_data, tiny_config):
    """A folder with a grid, and the environment to run it."""
    root = tmp_path_factory.mktemp('grid')
    for kind in ('retinanet', 'meta-retinanet'):
        config = ROOT / 'configs' / 'custom' / f'{kind}_r18-w32_custom.py'
        (root / f'{kind}.py').write_text(tiny_config(config=config) + SCHEDULE)
    shutil.copytree(tiny_data, root / 'far')
    val = json.loads((root / 'far' / 'val.json').read_text())
    val['images'].pop()
    kept = {image['id'] for image in val['images']}
    val['annotations'] = [
        note for note in val['annotations'] if note['image_id'] in kept
    ]
    (root / 'far' / 'val.json').write_text(json.dumps(val))
    (root / 'grid.py').write_text(GRID.format(root=str(tiny_data)))
    env = dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES='')
    # As a user has it, who does not know what the configs read.
    env.pop('DATA_ROOT', None)
    return root, env


def read_record(root, variant, seed):
    path = root / 'results' / 'runs' / f'{variant}_seed{seed}.json'
    return json.loads(path.read_text())


def trainings_begun(root):
    """Folders with a checkpoint that are not done, once a run has ended."""
    if not list((root / 'results' / 'runs').glob('*.json')):
        return []
    return [
        memo.parent
        for memo in (root / 'work').glob('*/training.json')
        if (memo.parent / 'last_checkpoint').is_file()
        and not json.loads(memo.read_text())['done']
    ]


def start(site, *flags):
    """It writes to a file, since nobody may read a pipe of it."""
    root, env = site
    with open(root / 'output.txt', 'w') as output:
        return subprocess.Popen(
            [*TOOL, 'grid.py', '--results', 'results']
            + ['--work-dir', 'work', '--jobs', '2', *flags],
            cwd=root,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def end(site, process):
    """Its exit status, and what it has written."""
    try:
        return process.wait(LIMIT), (site[0] / 'output.txt').read_text()
    except subprocess.TimeoutExpired:
        give_up(site, process)


def give_up(site, process):
    process.terminate()
    text = (site[0] / 'output.txt').read_text()
    pytest.fail(f'{process.args} was not there after {LIMIT} s: {text}')


@pytest.fixture(scope='module')
def outcome(site):
    """Interrupted in a training, gone on, done again, checked."""
    root, _ = site
    runs = root / 'results' / 'runs'
    texts, codes = {}, {}
    process, deadline = start(site), time.monotonic() + LIMIT
    while not (begun := trainings_begun(root)) and process.poll() is None:
        if time.monotonic() > deadline:
            give_up(site, process)
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    codes['interrupted'], texts['interrupted'] = end(site, process)
    texts['begun'] = begun
    listing = ['ps', '-eo', 'args']
    ps = subprocess.run(listing, capture_output=True, text=True).stdout
    texts['left'] = [line for line in ps.splitlines() if str(root) in line]
    first = {path: path.stat().st_mtime_ns for path in runs.glob('*.json')}
    for name, flags in (('resumed', []), ('again', []), ('check', '--check')):
        process = start(site, *([flags] if flags else []))
        codes[name], texts[name] = end(site, process)
    return texts, codes, first


def test_an_interruption_ends_everything_and_says_how_to_go_on(outcome):
    texts, codes, first = outcome
    assert codes['interrupted'] == 1
    assert 'the same command goes on from here' in texts['interrupted']
    assert 'Traceback' not in texts['interrupted']
    assert 1 <= len(first) < 4
    assert texts['left'] == []


def test_finished_runs_are_not_done_again(outcome):
    texts, codes, first = outcome
    assert codes['resumed'] == 0, texts['resumed']
    assert f'{len(first)} of 4 runs are done' in texts['resumed']
    for path, written in first.items():
        assert path.stat().st_mtime_ns == written
    assert '4 of 4 runs are done' in texts['again']


def test_an_interrupted_training_goes_on_from_its_epoch(outcome):
    texts, _, _ = outcome
    assert texts['begun'], texts['interrupted']
    for folder in texts['begun']:
        log = (folder / 'train.log').read_text()
        assert log.count('Epoch(train)  [1][2/2]') == 1
        assert log.count('Epoch(train) [12][2/2]') == 1


def test_every_run_keeps_config_log_and_metrics(site, outcome):
    root, _ = site
    for variant in ('stock', 'meta'):
        for seed in (0, 1):
            record = read_record(root, variant, seed)
            assert (record['variant'], record['seed']) == (variant, seed)
            result = next(iter(record['tests'].values()))
            assert 0 <= result['metrics']['mAP'] <= 1
            assert result['per_cell'] == 9
            folder = root / 'work' / f'{variant}_seed{seed}'
            config = (folder / f'{folder.name}.py').read_text()
            assert f'seed={seed}' in config
            log = (folder / 'train.log').read_text()
            assert re.search(r'Epoch\(train\) +\[2\]\[2/2\]', log)


def test_every_test_that_the_tables_ask_for_is_made(site, outcome):
    root, _ = site
    tests = read_record(root, 'meta', 1)['tests']
    chosen = 'far, clustered+searched'
    assert tests.keys() == {'tiny, trained', 'tiny, one', chosen}
    assert tests['tiny, one']['per_cell'] == 1
    assert len(tests[chosen]['anchors'][0]) == tests[chosen]['per_cell']
    tests = read_record(root, 'stock', 1)['tests']
    assert tests.keys() == {'far, trained'}


def test_tests_are_made_on_the_data_that_they_name(site, outcome):
    root, _ = site
    tests = read_record(root, 'meta', 0)['tests']
    images = {name: test['images'] for name, test in tests.items()}
    assert images == {
        'tiny, trained': 4,
        'tiny, one': 4,
        'far, clustered+searched': 3,
    }


def test_the_report_holds_the_runs(site, outcome):
    root, _ = site
    report = json.loads((root / 'results' / 'report.json').read_text())
    assert (report['done'], report['total']) == (4, 4)
    cells = report['tables']['tiny']['rows']['2 iterations']
    runs = [read_record(root, 'meta', seed) for seed in (0, 1)]
    scores = [r['tests']['tiny, one']['metrics']['mAP'] for r in runs]
    assert cells[2]['mean'] == pytest.approx(100 * sum(scores) / 2)
    text = (root / 'results' / 'report.md').read_text()
    assert '| 2 iterations | ' in text
    assert '4 of 4 trainings are done' in text
    png = (root / 'results' / 'tiny.png').read_bytes()
    assert png.startswith(b'\x89PNG')


def test_the_report_has_the_pictures(site, outcome):
    root, _ = site
    text = (root / 'results' / 'report.md').read_text()
    for name in ('detections', 'anchors'):
        assert f'![{name}]({name}.png)' in text
        png = (root / 'results' / f'{name}.png').read_bytes()
        assert png.startswith(b'\x89PNG')


def test_pictures_are_not_made_without_checkpoints(site, outcome):
    root, _ = site
    shutil.copytree(root / 'results' / 'runs', root / 'sent' / 'runs')
    process = start(
        site, '--report', '--results', 'sent', '--work-dir', 'nowhere'
    )
    code, text = end(site, process)
    assert code == 0, text
    assert not (root / 'sent' / 'detections.png').exists()
    assert '.png)' in (root / 'sent' / 'report.md').read_text()  # of tables
    assert 'detections' not in (root / 'sent' / 'report.md').read_text()


def test_a_report_trains_nothing(site, outcome):
    root, _ = site
    shutil.copytree(root / 'results', root / 'half')
    (root / 'half' / 'runs' / 'meta_seed1.json').unlink()
    process = start(site, '--report', '--results', 'half')
    code, text = end(site, process)
    assert code == 0, text
    assert 'runs are done' not in text
    report = json.loads((root / 'half' / 'report.json').read_text())
    assert (report['done'], report['total']) == (3, 4)


def test_only_says_the_order(site, monkeypatch):
    monkeypatch.chdir(site[0])
    runs = choose_runs(Grid('grid.py'), ['meta', 's*', '*'])
    assert [(run.variant, run.seed) for run in runs] == [
        ('meta', 0),
        ('meta', 1),
        ('stock', 0),
        ('stock', 1),
    ]
    with pytest.raises(ValueError, match=r'grid.py matches x\*'):
        choose_runs(Grid('grid.py'), ['meta', 'x*'])


def test_a_lost_terminal_stays_ignored_under_nohup(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['quality', 'no-grid.py'])
    handlers = {name: signal.getsignal(name) for name in SIGNALS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with pytest.raises(SystemExit, match='no-grid.py'):
            main()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.default_int_handler
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def test_the_check_repeats_a_cell(site, outcome):
    """It trains by itself, and leaves the stated runs alone."""
    texts, codes, _ = outcome
    root, _ = site
    assert codes['check'] in (0, 1)
    assert ('within' in texts['check']) == (codes['check'] == 0)
    assert ('OUTSIDE' in texts['check']) == (codes['check'] == 1)
    anew = list((root / 'work/check/runs').glob('*.json'))
    assert [path.name for path in anew] == ['meta_seed2.json']  # the next seed
    record = json.loads(anew[0].read_text())
    assert list(record['tests']) == ['tiny, one']
    assert 'with nothing wrong' in texts['check']


def test_a_failed_run_is_named(site, outcome):
    """The others go on, and the log is said."""
    root, _ = site
    text = (root / 'grid.py').read_text()
    broken = text.replace('rank=2', 'rank=-2')
    (root / 'broken.py').write_text(broken)
    done = subprocess.run(
        TOOL
        + ['broken.py', '--results', 'other']
        + ['--work-dir', 'elsewhere', '--only', 'meta', '--jobs', '2'],
        cwd=root,
        env=site[1],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 1
    assert 'meta, seed 0: exit status 1, ' in done.stderr
    assert 'rank must be a positive number, got -2' in done.stderr
    log = root / 'elsewhere' / 'meta_seed0' / 'train.log'
    assert f'see {log}' in done.stderr


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--jobs', '0'], 'got --jobs 0 and --gpus 1'),
        (['--jobs', '2', '--gpus', '8'], 'got --jobs 2 and --gpus 8'),
        (['--only', 'nobody'], 'no variant of .*grid.py matches nobody'),
        (['--only', 'meta', '--report'], '--only chooses what to train'),
    ],
)
def test_bad_input_is_refused(site, fail, monkeypatch, flags, message):
    monkeypatch.chdir(site[0])
    assert re.search(message, fail('quality', 'grid.py', *flags))


def test_digits_are_not_made_over_something_else(site, fail, monkeypatch):
    root, _ = site
    (root / 'thesis').mkdir()
    (root / 'thesis' / 'chapter.tex').touch()
    text = (root / 'grid.py').read_text()
    made = "tiny=dict(make=dict(), env=dict(DIGITS_ROOT='thesis', "
    (root / 'over.py').write_text(text.replace('tiny=dict(env=dict(', made))
    monkeypatch.chdir(root)
    message = fail('quality', 'over.py', '--results', root / 'none')
    assert 'thesis' in message
    assert (root / 'thesis' / 'chapter.tex').is_file()


def test_results_of_other_settings_are_refused(
    site, outcome, fail, monkeypatch
):
    root, _ = site
    text = (root / 'grid.py').read_text().replace('rank=2', 'rank=3')
    (root / 'changed.py').write_text(text)
    monkeypatch.chdir(root)
    message = fail('quality', 'changed.py', '--results', root / 'results')
    assert 'meta_seed0.json is of a run with other settings' in message
    assert 'remove it, or choose another folder' in message
