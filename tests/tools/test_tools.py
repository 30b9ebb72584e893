"""The command-line tools, run as a user runs them."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load

ROOT = Path(__file__).resolve().parents[2]

# How the tiny model is trained.
SCHEDULE = """
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1))
custom_imports = dict(
    imports=['mmdet_metaanchor', 'checksum'], allow_failed_imports=False)
custom_hooks = [dict(type='ChecksumHook')]
"""

# The images and their mirror images.
TTA = """
_base_ = './meta-retinanet.py'
tta_model = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(320, 240), keep_ratio=True)],
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='PackDetInputs', meta_keys=(
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
            'flip', 'flip_direction'))],
    ]),
]
"""

# Writes what every rank holds at the end of a training, and what it still
# runs when the interpreter ends: hooks are imported before processes connect.
CHECKSUM = """
import atexit
import json
import os
import signal
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmdet.registry import HOOKS


@HOOKS.register_module()
class ChecksumHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == int(os.environ.get('KILL_AT', -1)):
            os.kill(os.getpid(), signal.SIGKILL)

    def after_train(self, runner):
        values = [p.double().sum().item() for p in runner.model.parameters()]
        backend = 'none'
        if torch.distributed.is_initialized():
            backend = torch.distributed.get_backend()
        Path(runner.work_dir, f'rank{get_rank()}.json').write_text(
            json.dumps(dict(values=values, backend=backend, iter=runner.iter))
        )


@atexit.register
def write_threads():
    rank = os.environ.get('RANK', '0')
    names = [p.read_text() for p in Path('/proc/self/task').glob('*/comm')]
    Path(f'threads{rank}.txt').write_text(' '.join(names))
"""


@pytest.fixture(scope='module')
def site(tmp_path_factory, tiny_data, tiny_config):
    """A folder with tiny configs, and the environment to use them."""
    root = tmp_path_factory.mktemp('site')
    (root / 'checksum.py').write_text(CHECKSUM)
    for kind in ('retinanet', 'meta-retinanet'):
        config = ROOT / 'configs' / 'custom' / f'{kind}_r18-w32_custom.py'
        (root / f'{kind}.py').write_text(tiny_config(config=config) + SCHEDULE)
    (root / 'tta.py').write_text(TTA)
    env = dict(
        os.environ,
        DATA_ROOT=str(tiny_data),
        PYTHONPATH=os.pathsep.join([str(ROOT), str(root)]),
        PYTHON=sys.executable,
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
    )
    return root, env


def run(site, *command, check=True):
    root, env = site
    done = subprocess.run(
        [str(word) for word in command],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def tool(name):
    return (sys.executable, ROOT / 'tools' / name)


@pytest.fixture(scope='module')
def trained(site):
    """Work dir of a MetaAnchor model trained by tools/train.py."""
    run(
        site,
        *tool('train.py'),
        'meta-retinanet.py',
        '--work-dir',
        'meta',
        '--cfg-options',
        'randomness.seed=0',
    )
    return site[0] / 'meta'


def scalars(work_dir):
    """Log entries of every run in a work dir, oldest first."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [
        json.loads(line)
        for file in files
        for line in file.read_text().splitlines()
    ]


def losses(work_dir):
    return [entry['loss'] for entry in scalars(work_dir) if 'loss' in entry]


def assert_finite_losses(work_dir, steps):
    assert len(losses(work_dir)) == steps
    assert torch.tensor(losses(work_dir)).isfinite().all()


def detect(site, checkpoint, *options, config='meta-retinanet.py'):
    """Boxes and scores of every image, and the metrics, of tools/test.py."""
    root = site[0]
    work_dir = f'tested-{len(list(root.iterdir()))}'
    run(
        site,
        *tool('test.py'),
        config,
        checkpoint,
        '--work-dir',
        work_dir,
        '--out',
        f'{work_dir}.pkl',
        *options,
    )
    (file,) = (root / work_dir).glob('*/*.json')
    detections = [
        image['pred_instances'] for image in load(root / f'{work_dir}.pkl')
    ]
    return detections, json.loads(file.read_text())


def test_train(trained):
    # 4 images in batches of 2, 2 epochs
    assert_finite_losses(trained, 4)
    assert (trained / 'epoch_2.pth').is_file()


def test_killed_and_resumed_is_uninterrupted(site, trained):
    """kill -9 before the last iteration of two epochs of two each."""
    command = tool('train.py'), 'meta-retinanet.py', '--work-dir', 'killed'
    options = '--cfg-options', 'randomness.seed=0'
    died = run(
        (site[0], dict(site[1], KILL_AT='3')),
        *command[0],
        *command[1:],
        *options,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    killed = site[0] / 'killed'
    assert not (killed / 'epoch_2.pth').exists()
    run(site, *command[0], *command[1:], '--resume', *options)
    # The third was in the epoch that was lost.
    whole = losses(trained)
    assert losses(killed) == whole[:3] + whole[2:]
    ends = [
        torch.load(folder / 'epoch_2.pth', weights_only=False)['state_dict']
        for folder in (trained, killed)
    ]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(
    ('own', 'options', 'saved', 'resume', 'load_from'),
    [
        ((False, 'pretrained.pth'), [], True, False, 'pretrained.pth'),
        ((True, 'epoch_1.pth'), [], True, True, 'epoch_1.pth'),
        # MMEngine would look for it after the seed is drawn.
        ((True, None), [], True, True, 'epoch_1.pth'),
        ((True, None), [], False, True, None),
        ((True, 'other.pth'), ['--resume'], False, True, 'other.pth'),
        ((True, 'other.pth'), ['--resume'], True, True, 'epoch_1.pth'),
        (
            (False, 'pretrained.pth'),
            ['--resume'],
            False,
            False,
            'pretrained.pth',
        ),
        ((False, 'pretrained.pth'), ['--resume'], True, True, 'epoch_1.pth'),
        (
            (False, 'pretrained.pth'),
            ['--resume', 'epoch_1.pth'],
            True,
            True,
            'epoch_1.pth',
        ),
    ],
)
def test_resume_of_a_config_that_loads_a_checkpoint(
    monkeypatch, tmp_path, own, options, saved, resume, load_from
):
    """With a stand-in for the runner."""
    monkeypatch.chdir(tmp_path)
    Path('config.py').write_text(
        'resume, load_from = {}, {!r}\n'.format(*own)
        + "train_cfg = dict(max_epochs=2)\nwork_dir = '.'\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
    )
    content = dict(state_dict={}, optimizer={}, meta=dict(iter=1, seed=7))
    torch.save(content, 'other.pth')
    if saved:
        torch.save(content, 'epoch_1.pth')
    build_runner = Mock()
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.runner.build_runner', build_runner
    )
    monkeypatch.setattr(
        'mmdet_metaanchor.runtime.checkpoints.check_fits', Mock()
    )
    monkeypatch.setattr(sys, 'argv', ['train.py', 'config.py', *options])
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')
    (cfg,) = build_runner.call_args.args
    found = cfg.load_from and Path(cfg.load_from).name
    assert (cfg.resume, found) == (resume, load_from)
    # The seed that the training was begun with.
    gone_on = load_from in ('epoch_1.pth', 'other.pth')
    assert ('randomness' in cfg) == gone_on


def test_two_processes_hold_equal_parameters(site):
    root, env = site
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    site = root, dict(env, PORT=str(port))
    train = (
        'bash',
        ROOT / 'tools' / 'dist_train.sh',
        'meta-retinanet.py',
        2,
        '--work-dir',
        'dist',
    )
    run(site, *train, '--cfg-options', 'randomness.seed=0')
    # 4 images over 2 processes of batch 2: one step per epoch
    assert_finite_losses(root / 'dist', 2)
    run(site, *train, '--resume', '--cfg-options', 'train_cfg.max_epochs=3')
    assert_finite_losses(root / 'dist', 3)
    states = [
        json.loads((root / 'dist' / f'rank{rank}.json').read_text())
        for rank in range(2)
    ]
    assert states[0] == states[1]
    assert states[0]['backend'] == 'gloo'
    assert torch.tensor(states[0]['values']).isfinite().all()
    for rank in range(2):
        assert 'gloo' not in (root / f'threads{rank}.txt').read_text()
    done = run(
        site,
        'bash',
        ROOT / 'tools' / 'dist_test.sh',
        'meta-retinanet.py',
        'dist/epoch_3.pth',
        2,
        '--work-dir',
        'dist-test',
    )
    assert 'coco/bbox_mAP' in done.stdout + done.stderr


def test_equal_anchors_from_options_and_from_the_config_detect_the_same(
    site, trained
):
    checkpoint = trained / 'epoch_2.pth'
    head = 'model.bbox_head.anchor_generator'
    squares = [[(16 * 2**level, 16 * 2**level)] for level in range(5)]
    results = [
        detect(site, checkpoint, '--anchors', repr(squares)),
        detect(
            site,
            checkpoint,
            '--cfg-options',
            f'{head}.scales_per_octave=1',
            f'{head}.ratios=[1.0]',
        ),
        detect(
            site,
            checkpoint,
            '--cfg-options',
            f'{head}.shapes={squares}'.replace(' ', ''),
        ),
    ]
    (trained_anchors, _) = detect(site, checkpoint)
    (expected, metrics), *others = results
    assert 'coco/bbox_mAP' in metrics
    assert len(expected) == 4
    for detections, _ in others:
        for image, same in zip(detections, expected, strict=True):
            assert torch.equal(image['bboxes'], same['bboxes'])
            assert torch.equal(image['scores'], same['scores'])
    assert not torch.equal(trained_anchors[0]['bboxes'], expected[0]['bboxes'])


def test_tta_adds_what_the_mirror_images_show(site, trained):
    """NMS keeps the best of both; the model is not symmetric."""
    checkpoint = trained / 'epoch_2.pth'
    (plain, _), (merged, metrics) = (
        detect(site, checkpoint, *options, config='tta.py')
        for options in ([], ['--tta'])
    )
    assert 'coco/bbox_mAP' in metrics
    assert len(merged) == len(plain) == 4
    for image, both in zip(plain, merged, strict=True):
        assert both['scores'].max() >= image['scores'].max()
        assert not torch.equal(both['scores'], image['scores'])


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        (['train.py', 'no.py'], 'no.py'),
        (['train.py', 'meta-retinanet.py', '--amp'], '--amp needs'),
        (['train.py', 'retinanet.py', '--auto-scale-lr'], 'base_batch_size'),
        (['test.py', 'retinanet.py', 'no.pth'], 'no.pth does not exist'),
        (['test.py', 'retinanet.py', 'x.pth', '--anchors', '3x3'], '3x3'),
        (['test.py', 'retinanet.py', 'x.pth', '--out', 'a.txt'], 'a.txt'),
        (['test.py', 'retinanet.py', 'x.pth', '--tta'], 'tta_pipeline'),
    ],
)
def test_bad_input_ends_in_one_line(site, command, message):
    done = run(site, *tool(command[0]), *command[1:], check=False)
    assert done.returncode != 0
    assert 'Traceback' not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith(f'{command[0]}: error: ')
    assert message in line


def test_missing_data_ends_in_one_line(site):
    root, env = site
    env = {**env, 'DATA_ROOT': '/nowhere'}
    done = run(
        (root, env),
        *tool('train.py'),
        'meta-retinanet.py',
        check=False,
    )
    assert done.returncode != 0
    assert '/nowhere/train.json does not exist' in done.stderr
    assert 'Traceback' not in done.stderr


def test_checkpoint_that_does_not_fit(site, trained):
    checkpoint = trained / 'epoch_2.pth'
    done = run(site, *tool('test.py'), 'retinanet.py', checkpoint, check=False)
    assert done.returncode != 0
    assert 'does not fit' in done.stderr
    assert 'RetinaHead' in done.stderr
    assert 'Traceback' not in done.stderr


def test_stock_anchors_cannot_be_customised(site):
    run(
        site,
        *tool('train.py'),
        'retinanet.py',
        '--work-dir',
        'stock',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    done = run(
        site,
        *tool('test.py'),
        'retinanet.py',
        'stock/epoch_1.pth',
        '--anchors',
        '[[(8, 8)]]',
        check=False,
    )
    assert done.returncode != 0
    assert 'no MetaAnchor head' in done.stderr


@pytest.mark.parametrize(
    'name',
    [
        'train.py',
        'test.py',
    ],
)
def test_help(site, name):
    done = run(site, *tool(name), '--help')
    assert 'usage' in done.stdout


def test_shell_scripts_say_what_is_missing(site):
    done = run(site, 'bash', ROOT / 'tools' / 'dist_train.sh', check=False)
    assert done.returncode != 0
    assert 'see the usage at the top' in done.stderr


def test_slurm_script_calls_srun(site, tmp_path):
    """With a stand-in for srun that prints its arguments."""
    root, env = site
    fake = tmp_path / 'srun'
    fake.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    env = {**env, 'PATH': f'{tmp_path}:{env["PATH"]}', 'GPUS': '2'}
    done = run(
        (root, env),
        'bash',
        ROOT / 'tools' / 'slurm_train.sh',
        'gpu',
        'job',
        'config.py',
        'work dir',
        '--resume',
    )
    words = done.stdout.splitlines()
    assert '--ntasks=2' in words
    assert words[-6:] == [
        'config.py',
        '--work-dir',
        'work dir',
        '--launcher',
        'slurm',
        '--resume',
    ]


def test_configs_of_work_dirs_can_be_read_again(trained):
    """MMEngine dumps the config; it must not need DATA_ROOT any more."""
    (config,) = trained.glob('*.py')
    cfg = Config.fromfile(config, import_custom_modules=False)
    assert cfg.model.bbox_head.type == 'MetaRetinaHead'
