"""Checkpoints that do not fit, are broken, or hold code, are refused."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_metaanchor.runtime.checkpoints import (
    check_fits,
    load_detector,
    load_strictly,
    read_checkpoint,
)
from mmdet_metaanchor.runtime.runner import build_runner


class Executed:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def cut_in_two(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (lambda path, _: path.write_text('hello'), 'no checkpoint, or not a'),
        (lambda path, _: path.touch(), 'no checkpoint, or not a whole one'),
        (lambda path, _: torch.save([1], path), 'holds a list, no weights'),
        (
            lambda path, trace: torch.save(dict(a=Executed(trace)), path),
            'to read it would be to execute it',
        ),
        (
            lambda path, trace: path.write_bytes(
                pickle.dumps(Executed(trace))
            ),
            'to read it would be to execute it',
        ),
    ],
    ids=['text', 'empty', 'list', 'code', 'pickle'],
)
@pytest.mark.parametrize('read', [load_detector, load_strictly, check_fits])
def test_what_is_no_checkpoint_is_refused_and_not_executed(
    tiny, tmp_path, write, message, read
):
    path, trace = tmp_path / 'some.pth', tmp_path / 'executed'
    write(path, trace)
    of = tiny if read is load_detector else build_runner(tiny)
    with pytest.raises(ValueError, match=f'some.pth .*{message}'):
        read(
            of, str(path), **(dict(whole=False) if read is check_fits else {})
        )
    assert not trace.exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_a_checkpoint_cut_anywhere_is_refused(tmp_path, zipped):
    path = tmp_path / 'some.pth'
    state = {str(i): torch.ones(100) for i in range(10)}
    torch.save(
        dict(state_dict=state), path, _use_new_zipfile_serialization=zipped
    )
    whole = path.read_bytes()
    assert read_checkpoint(str(path))['state_dict'].keys() == state.keys()
    for part in range(100):
        path.write_bytes(whole[: len(whole) * part // 100])
        with pytest.raises(ValueError, match='some.pth is no checkpoint'):
            read_checkpoint(str(path))


def test_half_a_checkpoint_is_refused(tiny, checkpoint, tmp_path):
    path = tmp_path / 'half.pth'
    path.write_bytes(Path(checkpoint).read_bytes())
    cut_in_two(path)
    with pytest.raises(ValueError, match='half.pth .* not a whole one'):
        load_detector(tiny, str(path))


def test_a_trap_would_be_sprung_without_us(tmp_path):
    """The trap of the tests above works: PyTorch without its list."""
    path, trace = tmp_path / 'some.pth', tmp_path / 'executed'
    torch.save(dict(a=Executed(trace)), path)
    torch.load(path, weights_only=False)
    assert trace.exists()


STOCK_ANCHORS = dict(
    type='AnchorGenerator',
    octave_base_scale=4,
    scales_per_octave=3,
    ratios=[0.5, 1.0, 2.0],
    strides=[8, 16, 32, 64, 128],
)
OTHERS = {
    'classes': (dict(num_classes=5), 'size mismatch for bbox_head.retina_cls'),
    'channels': (dict(feat_channels=12), 'size mismatch for bbox_head'),
    'hidden size': (
        dict(anchor_function=dict(hidden_channels=16)),
        'size mismatch for bbox_head.retina_cls.code_layer.weight',
    ),
    'rank': (dict(anchor_function=dict(rank=3)), 'rank 8 .* config says 3'),
    'detector': (
        dict(type='RetinaHead', anchor_generator=STOCK_ANCHORS),
        'has bbox_head.box_form|has bbox_head.standard_boxes',
    ),
}


@pytest.mark.parametrize('other', OTHERS)
@pytest.mark.parametrize('whole', [False, True])
def test_a_training_starts_from_no_other_model(tiny, checkpoint, other, whole):
    """MMEngine would load what fits, and log the rest."""
    changes, message = OTHERS[other]
    tiny.model.bbox_head.update(changes)
    runner = build_runner(tiny)
    before = copy.deepcopy(runner.model.state_dict())
    with pytest.raises(ValueError, match=message):
        check_fits(runner, checkpoint, whole)
    for key, value in runner.model.state_dict().items():
        torch.testing.assert_close(value, before[key], equal_nan=True)


def test_a_model_that_holds_its_processes(tiny, checkpoint):
    """MMCV's SyncBatchNorm has a process group, which cannot be copied."""

    class Group:
        def __deepcopy__(self, memo):
            raise TypeError('cannot pickle')

    runner = build_runner(tiny)
    runner.model.backbone.group = Group()
    check_fits(runner, checkpoint, whole=True)


def test_what_a_checkpoint_lacks_is_trained_from_the_start(
    tiny, checkpoint, tmp_path
):
    """Of a detector of other classes, say, all but its last layers."""
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict'] = {
        key: value
        for key, value in content['state_dict'].items()
        if 'retina_cls' not in key
    }
    path = str(tmp_path / 'part.pth')
    torch.save(content, path)
    runner = build_runner(tiny)
    check_fits(runner, path, whole=False)
    with pytest.raises(ValueError, match='lacks bbox_head.retina_cls'):
        check_fits(runner, path, whole=True)


DETECTORS = dict(
    retinanet='digits/meta-retinanet_r18-w32_digits.py',
    ssd='meta_ssd/meta-ssd_r18-w32_digits.py',
    yolov3='meta_yolov3/meta-yolov3_r18-w32_digits.py',
    rpn='meta_faster_rcnn/meta-rpn_r18-w32_digits.py',
    rcnn='meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
)


def test_every_detector_refuses_the_others(load_config, tmp_path):
    configs = {name: load_config(path) for name, path in DETECTORS.items()}
    for name, cfg in configs.items():
        state = MODELS.build(cfg.model).state_dict()
        torch.save(dict(state_dict=state), tmp_path / f'{name}.pth')
    for name, cfg in configs.items():
        for other in DETECTORS:
            path = str(tmp_path / f'{other}.pth')
            if other == name:
                load_detector(cfg, path)
                continue
            with pytest.raises(ValueError, match=f'{other}.pth does not fit'):
                load_detector(cfg, path)


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('ssd', dict(num_classes=5)),
        ('yolov3', dict(num_classes=5)),
        ('rpn', dict(feat_channels=12)),
        *((name, dict(anchor_function=dict(hidden_channels=16)))
          for name in ('ssd', 'yolov3', 'rpn')),
        *((name, dict(anchor_function=dict(rank=3)))
          for name in ('ssd', 'yolov3', 'rpn')),
    ],
    ids=str,
)  # fmt: skip
def test_other_settings_of_a_head(load_config, tmp_path, name, changes):
    """Of RetinaNet, see above."""
    cfg, path = load_config(DETECTORS[name]), tmp_path / 'some.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    cfg.model['rpn_head' if name == 'rpn' else 'bbox_head'].update(changes)
    with pytest.raises(ValueError, match='size mismatch|config says 3'):
        load_detector(cfg, str(path))
