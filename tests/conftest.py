"""Small models and data that several test files share."""

import json
import logging
import os
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import benchmarks.quality.meta_atss  # noqa: F401 (registers its head)
import mmdet_metaanchor  # noqa: F401 (registers the components)

ROOT = Path(__file__).resolve().parents[1]

# Random cases of each property: few and always the same ones in the suite;
# `HYPOTHESIS_PROFILE=long python -m pytest -m hypothesis` makes 10 000 new
# ones of each.
for profile, cases in (('fast', 100), ('long', 10_000)):
    settings.register_profile(
        profile,
        max_examples=cases,
        derandomize=profile == 'fast',
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
        ],
    )
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'fast'))

# A model of a few thousand parameters.
TINY_MODEL = """
_base_ = '{config}'
model = dict(
    backbone=dict(base_channels=8, norm_cfg=dict(num_groups=2)),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=8),
    bbox_head=dict(
        in_channels=8, feat_channels=8, stacked_convs=1,
        norm_cfg=dict(num_groups=2),
    ),
    # A model that has hardly been trained is sure of nothing.
    test_cfg=dict(score_thr=0.0),
)
"""


@pytest.fixture(autouse=True)
def _scope_seed_and_log():
    init_default_scope('mmdet')
    torch.manual_seed(0)
    yield
    # A model that is initialized writes to the log file of the last runner,
    # which uvicorn closes, with all others, when a page is served.
    logger = MMLogger.get_current_instance()
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
            handler.close()
    # A head would take the training of the last runner for its own, and
    # jitter less.
    MessageHub.get_current_instance().runtime_info.pop('iter', None)


@pytest.fixture
def build_head():
    """Build a small MetaRetinaHead whose residuals are not zero.

    A new head generates the same function for every prior (W2 = 0), with
    which most laws would hold trivially.
    """

    def build(residual_std=0.5, **kwargs):
        cfg = dict(
            type='MetaRetinaHead',
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(
                type='MetaAnchorGenerator',
                octave_base_scale=4,
                scales_per_octave=3,
                ratios=[0.5, 1.0, 2.0],
                strides=[8, 16, 32],
                jitter=0.5,
            ),
            train_cfg=dict(
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.4,
                    min_pos_iou=0,
                ),
                allowed_border=-1,
                pos_weight=-1,
            ),
            test_cfg=ConfigDict(
                nms_pre=100,
                score_thr=0.0,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=20,
            ),
        )
        cfg.update(kwargs)
        head = MODELS.build(cfg)
        for generator in (head.retina_cls, head.retina_reg):
            torch.nn.init.normal_(
                generator.residual_layer.weight, std=residual_std
            )
        return head

    return build


@pytest.fixture
def warnings(monkeypatch):
    """Warnings that a head logs, as they come."""
    told = []

    def log(message, logger, level=logging.INFO):
        if level == logging.WARNING:
            told.append(message)

    monkeypatch.setattr('mmdet_metaanchor.method.shape_range.print_log', log)
    return told


@pytest.fixture
def fail(monkeypatch):
    """Run a tool that has to end in one line, in this process: quicker."""

    def fail(name, *words):
        path = ROOT / 'tools' / name
        if not name.endswith('.py'):  # python -m benchmarks.NAME
            path = ROOT / 'benchmarks' / name / '__main__.py'
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name='__main__')
        # A text as the code: Python prints it and exits with 1.
        assert end.value.code.startswith(f'{Path(name).name}: error: ')
        assert '\n' not in end.value.code
        return end.value.code

    return fail


@pytest.fixture
def feats():
    """Features of 2 images of 64x64 px at strides 8, 16 and 32."""
    return [torch.randn(2, 8, size, size) for size in (8, 4, 2)]


@pytest.fixture
def data_samples():
    """Two images of 64x64 px: one with two objects, one with none."""
    samples = []
    for boxes in ([[4.0, 4, 40, 36], [30, 20, 60, 62]], []):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(64, 64), pad_shape=(64, 64), scale_factor=(1, 1)
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.arange(len(boxes)),
        )
        samples.append(sample)
    return samples


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """A folder in COCO format: 4 images of 96x64 px with a square each."""
    root = tmp_path_factory.mktemp('tiny')
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(4):
        image = rng.integers(0, 80, (64, 96, 3), dtype=np.uint8)
        x, y, side = 10 + 8 * i, 8, 24 + 6 * i
        image[y : y + side, x : x + side] = 255
        cv2.imwrite(str(root / 'images' / f'{i}.png'), image)
        images.append(dict(id=i, file_name=f'{i}.png', width=96, height=64))
        annotations.append(
            dict(
                id=i + 1,
                image_id=i,
                category_id=1 + i % 2,
                bbox=[x, y, side, side],
                area=side * side,
                iscrowd=0,
            )
        )
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='odd'), dict(id=2, name='even')],
    )
    for split in ('train', 'val'):
        (root / f'{split}.json').write_text(json.dumps(content))
    return root


@pytest.fixture(scope='session')
def tiny_config():
    """Text of a config that inherits from another one and shrinks it."""
    return TINY_MODEL.format


@pytest.fixture
def load_config(tiny_data, monkeypatch):
    """Read a config of this repository, its data being ``tiny_data``."""
    monkeypatch.setenv('DATA_ROOT', str(tiny_data))
    return lambda name: Config.fromfile(ROOT / 'configs' / name)


@pytest.fixture
def small_retinanet(load_config):
    """Config of a small RetinaNet of two classes, stock or ours."""

    def read(kind='meta-retinanet'):
        cfg = load_config(f'custom/{kind}_r18-w32_custom.py')
        cfg.model.backbone.update(base_channels=8, init_cfg=None)
        # It shows whether the detector is in evaluation mode.
        cfg.model.backbone.norm_cfg = dict(type='BN')
        cfg.model.neck.update(in_channels=[8, 16, 32, 64], out_channels=8)
        cfg.model.bbox_head.update(
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            norm_cfg=dict(type='GN', num_groups=2),
        )
        return cfg

    return read


@pytest.fixture
def atss_config(load_config):
    """The head of docs/other-heads.md in a detector of the digits."""
    cfg = load_config('digits/meta-retinanet_r18-w32_digits.py')
    cfg.model.type = 'ATSS'
    cfg.model.backbone.init_cfg = None
    head = cfg.model.bbox_head
    head.type = 'MetaATSSHead'
    head.loss_centerness = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head.loss_bbox = dict(type='GIoULoss')
    cfg.custom_imports.imports.append('benchmarks.quality.meta_atss')
    cfg.model.train_cfg.assigner = dict(type='ATSSAssigner', topk=9)
    return cfg


@pytest.fixture
def detect():
    """What a detector finds on one image of noise, the same every time."""

    @torch.no_grad()
    def detect(model):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(96, 128),
                ori_shape=(96, 128),
                scale_factor=(1.0, 1.0),
            )
        )
        image = torch.randn(
            1, 3, 96, 128, generator=torch.Generator().manual_seed(1)
        )
        return model.predict(image, [sample])[0].pred_instances

    return detect
