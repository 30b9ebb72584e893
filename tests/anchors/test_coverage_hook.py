"""The log of AnchorCoverageHook, and the boxes that it looks at."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import DATASETS, HOOKS, MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmdet_metaanchor import AnchorCoverageHook
from mmdet_metaanchor.anchors.training_boxes import read_training_boxes

# Squares of 32 px around (8 i, 8 j), and of 64 px around (16 i, 16 j).
ANCHORS = dict(scales=[4], ratios=[1.0], strides=[8, 16])
# (x, y, w, h) in px of images of 64x48 px, which are shown at 128x96 px.
BOXES = [
    # 32x32 around (40, 40): an anchor.
    (12, 12, 16, 16),
    # 32x16 around (40, 40): half of that anchor, IoU 0.5.
    (12, 16, 16, 8),
    # 60x10 around (48, 40): 32 * 10 / (1024 + 600 - 320) = 0.245. The larger
    # anchor: 600 / 4096 = 0.146. Sides 60 / 32 and 32 / 10, less than 4.
    (9, 17.5, 30, 5),
    # 100x8 around (64, 40): 32 * 8 / (1024 + 800 - 256) = 0.163. Sides
    # 32 / 8 and 64 / 8, not less than 4.
    (7, 18, 50, 4),
]
RESIZE = dict(type='Resize', scale=(128, 96), keep_ratio=True)
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
LOG = """\
AnchorCoverageHook: 4 boxes of 2 training images, mean best IoU with an \
anchor 0.477
  best possible recall (sides within a factor of 4): 0.750
  best IoU of at least 0.5 (pos_iou_thr of MaxIoUAssigner): 0.500
  boxes by the stride of their best anchor: 8 px 4, 16 px 0
  strides that no box uses: 16 px
  boxes that no anchor reaches (best IoU below 0.4): 2, 50.0%
    2 of them have few positive priors; ScaleCompensationAssigner in \
train_cfg gives them more
    {root}/1.jpg: dog (x1, y1, x2, y2) = (14, 36, 114, 44) px as resized, \
IoU 0.163
    {root}/1.jpg: dog (x1, y1, x2, y2) = (18, 35, 78, 45) px as resized, \
IoU 0.245
  That is low: below 0.98 of the boxes have a fitting anchor. This makes \
anchors from them: python tools/cluster_anchors.py CONFIG {root}/train.json \
anchors.json --beyond-range"""


@pytest.fixture
def root(tmp_path):
    """Two images with two boxes each, and a crowd."""
    annotations = [
        dict(image_id=i // 2, category_id=1 + i // 2, bbox=box, iscrowd=0)
        for i, box in enumerate([*BOXES, (0, 0, 9, 9)])
    ]
    annotations[-1].update(image_id=0, category_id=1, iscrowd=1)
    for number, annotation in enumerate(annotations, 1):
        _, _, w, h = annotation['bbox']
        annotation.update(id=number, area=w * h)
    content = dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=64, height=48)
            for i in range(2)
        ],
        annotations=annotations,
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    )
    (tmp_path / 'train.json').write_text(json.dumps(content))
    return tmp_path


def data_set(root, resize=RESIZE, **wrapper):
    cfg = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('cat', 'dog')),
        serialize_data=False,  # it collects garbage, for seconds
        pipeline=[*LOAD, resize, dict(type='PackDetInputs')],
    )
    if wrapper:
        key = 'datasets' if wrapper['type'] == 'ConcatDataset' else 'dataset'
        cfg = {**wrapper, key: [cfg] if key == 'datasets' else cfg}
    return DATASETS.build(cfg)


def head(kind='RetinaHead', assigner=None, **anchors):
    wanted = 'AnchorGenerator' if kind[0] == 'R' else 'MetaAnchorGenerator'
    if assigner is None:
        assigner = dict(
            type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4
        )
    return MODELS.build(
        dict(
            type=kind,
            num_classes=2,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(type=wanted, **{**ANCHORS, **anchors}),
            train_cfg=dict(assigner=assigner, allowed_border=-1),
        )
    )


@pytest.fixture
def log(root, caplog):
    """Level and text of what the hook logs before a training."""

    def log(part, dataset=None, cfg=None, **hook):
        logger = logging.getLogger('test_coverage_hook')
        logger.setLevel('INFO')
        runner = SimpleNamespace(
            model=nn.Sequential(part),
            logger=logger,
            cfg=Config(cfg),
            train_dataloader=SimpleNamespace(
                dataset=dataset or data_set(root)
            ),
        )
        HOOKS.build(dict(type='AnchorCoverageHook', **hook)).before_train(
            runner
        )
        records = [r for r in caplog.records if r.name == logger.name]
        caplog.clear()
        return [(record.levelname, record.getMessage()) for record in records]

    return log


@pytest.mark.parametrize('kind', ['RetinaHead', 'MetaRetinaHead'])
def test_log_by_hand(root, log, kind):
    ((level, text),) = log(head(kind))
    assert text == LOG.format(root=root)
    assert level == 'WARNING'


def test_boxes_below_the_stride(log):
    """32 px squares around (16 i, 16 j), 8 px from the centres in x and y.

    Of the four boxes the first has an IoU of 24 * 24 / (2048 - 576) = 0.391,
    the others less; 32x32 and 32x16 px are not below 16 px, 60x10 and 100x8
    are.
    """
    ((_, text),) = log(head(strides=[16, 32], scales=[2]))
    assert 'reaches (best IoU below 0.4): 4, 100.0%\n    2 of them' in text


@pytest.mark.parametrize(
    ('assigner', 'number'),
    [
        (dict(type='MaxIoUAssigner', min_pos_iou=0.0), 2),
        # Below it MaxIoUAssigner gives a box no prior, and neither does ours.
        (dict(type='MaxIoUAssigner', min_pos_iou=0.2), 1),
        (dict(type='MaxIoUAssigner', min_pos_iou=0.3), 0),
        # Of what it is advised instead.
        (dict(type='ScaleCompensationAssigner'), 0),
        (dict(type='FasterRCNNAssigner'), 0),
    ],
)
def test_which_boxes_would_have_more_priors(log, assigner, number):
    """Of the boxes two are not reached, with IoUs of 0.245 and 0.163."""
    thresholds = dict(pos_iou_thr=0.5, neg_iou_thr=0.4)
    ((_, text),) = log(head(assigner=dict(assigner, **thresholds)))
    line = f'    {number} of them have few positive priors; Scale'
    assert (line in text) == (number > 0)
    assert text.count('few positive priors') == (number > 0)


def test_boxes_that_no_prior_touches_have_none_to_give(log):
    """Squares of 16 px around (128 i, 128 j), of 32 px around (256 i, 256 j).

    The first row ends at y = 16, the next begins at 120. The boxes are between
    y = 24 and 56.
    """
    ((_, text),) = log(head(strides=[128, 256], scales=[1 / 8]))
    assert 'reaches (best IoU below 0.4): 4, 100.0%\n' in text
    assert 'few positive priors' not in text


def test_few_are_named(log):
    ((_, text),) = log(head(), shown=1)
    assert text.count('.jpg: ') == 1 and '    and 1 more\n' in text


def test_coverage_that_is_high(log):
    """Anchors around each box: 32x32, 45x23, 57x11 and 107x7 px.

    At worst 1 / (107 / 100 * 8 / 7) = 0.82, less the distances of cells.
    """
    ((level, text),) = log(head(ratios=[1, 0.5, 0.2, 0.08], scales=[3, 3.5]))
    assert level == 'INFO' and 'That is low' not in text
    assert 'recall (sides within a factor of 4): 1.000' in text
    assert 'reaches (best IoU below 0.4): 0, 0.0%' in text


@pytest.mark.parametrize(
    ('assigner', 'line', 'level'),
    [
        (
            dict(type='ATSSAssigner', topk=9),
            'best IoU of at least 0.5 (ATSSAssigner goes by no IoU',
            'INFO',
        ),
        (
            dict(type='SSDAssigner', iou_thr=0.6),
            'best IoU of at least 0.6 (iou_thr of SSDAssigner): 0.250',
            'WARNING',
        ),
        (
            dict(
                type='ZeroLossAssigner',
                assigner=dict(type='FasterRCNNAssigner'),
            ),
            'best IoU of at least 0.7 (pos_iou_thr of FasterRCNNAssigner): ',
            'WARNING',
        ),
    ],
)
def test_threshold_of_the_assigner(log, assigner, line, level):
    ((told, text),) = log(head(assigner=assigner))
    assert line in text
    assert told == level


def test_a_detector_without_anchors(log):
    part = MODELS.build(
        dict(type='FCOSHead', num_classes=2, in_channels=8, norm_cfg=None)
    )
    assert log(part) == [
        (
            'INFO',
            'AnchorCoverageHook: Sequential has no anchors, so there is '
            'nothing to cover boxes with.',
        )
    ]


def test_only_the_first_process_logs(log, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    assert log(head()) == []


def test_an_argument_that_is_not_there():
    with pytest.raises(TypeError, match="the nearest is 'shown'"):
        AnchorCoverageHook(show=3)


def test_anchors_and_random_numbers_stay(log):
    part = head('MetaRetinaHead', jitter=0.5)
    before = [base.clone() for base in part.prior_generator.base_anchors]
    state = torch.get_rng_state()
    log(part)
    after = part.prior_generator.base_anchors
    assert all(map(torch.equal, before, after))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ('wrapper', 'times'),
    [
        (dict(), 1),
        (dict(type='RepeatDataset', times=3), 3),
        (dict(type='ConcatDataset'), 1),
        (dict(type='MultiImageMixDataset', pipeline=[]), 1),
        (dict(type='SeededDataset'), 1),  # has the attributes of the other
    ],
)
def test_boxes_through_wrappers(root, wrapper, times):
    boxes = read_training_boxes(data_set(root, **wrapper), [], 100)
    # Twice the size, without the crowd.
    expected = [
        [2 * x, 2 * y, 2 * (x + w), 2 * (y + h)] for x, y, w, h in BOXES
    ]
    assert boxes.boxes.tolist() == expected * times
    assert boxes.image_sizes.tolist() == [[128, 96]] * 4 * times
    assert boxes.areas[:4].tolist() == [256, 128, 150, 200]
    assert boxes.labels.tolist() == [0, 0, 1, 1] * times
    assert boxes.classes == ['cat', 'dog']


def test_data_sets_side_by_side_may_differ_in_colour(root):
    """MMDetection then keeps what each says."""
    parts = [data_set(root), data_set(root)]
    parts[1]._metainfo['palette'] = [(0, 0, 0)] * 2
    both = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert isinstance(both.metainfo, list)
    boxes = read_training_boxes(both, [], 100)
    assert boxes.classes == ['cat', 'dog']
    assert len(boxes.boxes) == 8


def test_some_batches_of_an_epoch_are_resized_too(root):
    """What MMEngine makes of ``num_batch_per_epoch=1`` with batches of 1."""
    loader = Runner.build_dataloader(
        dict(
            dataset=data_set(root),
            batch_size=1,
            num_batch_per_epoch=1,
            sampler=dict(type='DefaultSampler'),
        )
    )
    boxes = read_training_boxes(loader.dataset, [], 100)
    expected = [
        [2 * x, 2 * y, 2 * (x + w), 2 * (y + h)] for x, y, w, h in BOXES[:2]
    ]
    assert boxes.boxes.tolist() == expected


DRAWN = dict(type='RandomResize', scale=[(64, 48), (640, 480)])


@pytest.mark.parametrize(
    'drawn',
    [
        DRAWN,
        dict(type='RandomChoice', transforms=[[DRAWN], [RESIZE]]),
        dict(type='RandomApply', transforms=[RESIZE]),
    ],
    ids=lambda step: step['type'],
)
def test_sizes_that_are_drawn_are_those_of_the_test(root, drawn):
    dataset = data_set(root, resize=drawn)
    test = [LOAD[0], dict(RESIZE, scale=(192, 144)), LOAD[1]]
    boxes = read_training_boxes(dataset, test, 100)
    assert boxes.boxes[0].tolist() == [36, 36, 84, 84]  # three times


@pytest.mark.parametrize(
    ('wrapped', 'found'),
    [
        (lambda inside: dict(type='ConcatDataset', datasets=[inside]), True),
        (lambda inside: dict(type='RepeatDataset', dataset=inside), True),
        (lambda inside: dict(type='OwnDataset'), False),
    ],
)
def test_the_pipeline_of_a_wrapped_test_set(root, log, wrapped, found):
    drawn = dict(type='RandomResize', scale=[(64, 48), (640, 480)])
    inside = dict(type='CocoDataset', pipeline=[RESIZE])
    loader = dict(dataset=wrapped(inside))
    ((level, text),) = log(
        head('RetinaHead'),
        data_set(root, resize=drawn),
        dict(val_dataloader=loader),
    )
    if found:
        assert text == LOG.format(root=root)
    else:
        assert 'no test pipeline that would say how large' in text
    assert level == 'WARNING'


@pytest.mark.parametrize(('clip', 'left'), [(True, 0), (False, -20)])
def test_boxes_are_cut_at_the_border_as_in_training(root, clip, left):
    """10 px of the first lie beyond it, and all is twice the size."""
    content = json.loads((root / 'train.json').read_text())
    content['annotations'][0]['bbox'] = [-10, 10, 50, 20]
    (root / 'train.json').write_text(json.dumps(content))
    resize = dict(RESIZE, clip_object_border=clip)
    boxes = read_training_boxes(data_set(root, resize), [], 100)
    assert boxes.boxes[0].tolist() == [left, 20, 80, 60]
    assert boxes.areas[0] == 1000  # COCO's, of the JSON


def test_sides_of_images_may_be_floats(root):
    content = json.loads((root / 'train.json').read_text())
    for image in content['images']:
        image.update(width=64.0, height=48.0)
    (root / 'train.json').write_text(json.dumps(content))
    boxes = read_training_boxes(data_set(root), [], 100)
    assert boxes.image_sizes.tolist() == [[128, 96]] * 4


def test_some_images_of_many(root):
    dataset = data_set(root, type='RepeatDataset', times=50)
    boxes = read_training_boxes(dataset, [], 3)
    # Images 0, 50 (of 49.5) and 99: the first, the first, the second.
    assert len(boxes.boxes) == 6


def test_no_boxes(root):
    content = json.loads((root / 'train.json').read_text())
    content['annotations'] = []
    (root / 'train.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='2 training images hold no boxes'):
        read_training_boxes(data_set(root), [], 100)
