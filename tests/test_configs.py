"""Every config builds, and says no more than what differs."""

import re
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

ROOT = Path(__file__).resolve().parents[1]
R50 = 'meta_retinanet/meta-retinanet_r50_fpn_{}_1x_coco.py'
TWINS = ['r18-w32_digits', 'r18-w32_custom', 'mobilenet-v2_custom']
# By a word in the name of a config: where the head is, and its stock class.
KINDS = {
    'retinanet': ('bbox_head', 'RetinaHead'),
    'rcnn': ('rpn_head', 'RPNHead'),
    'rpn': ('bbox_head', 'RPNHead'),
    'ssd': ('bbox_head', 'SSDHead'),
    'yolov3': ('bbox_head', 'YOLOV3Head'),
}
NAMES = [
    str(path.relative_to(ROOT / 'configs'))
    for path in sorted((ROOT / 'configs').glob('[!_]*/*.py'))
]


def build(cfg):
    cfg.model.backbone.init_cfg = None
    return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', NAMES)
def test_builds_and_is_short(load_config, name):
    assert len((ROOT / 'configs' / name).read_text().splitlines()) < 30
    model = build(load_config(name))
    if not name.startswith('anchor_systems'):
        part, kind = next(
            entry
            for word, entry in KINDS.items()
            if word in name.split('/')[1]
        )
        head = type(getattr(model, part)).__name__
        if '/meta' in name:
            assert head == f'Meta{kind}'
        else:  # SSD's is repaired
            assert head.removeprefix('Repaired') == kind


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in NAMES
        if name.startswith('anchor_systems')
        or re.match('meta_(?!retinanet)', name)
    ],
)
def test_detectors_of_other_systems_train_and_predict(load_config, name):
    """Losses and gradients are finite, with objects and without."""
    cfg = load_config(name)
    model = build(cfg)
    model.init_weights()
    size = (300, 300) if 'ssd300' in name else (96, 128)
    samples = []
    for boxes in ([[8.0, 8, 60, 90], [40, 30, 70, 50]], []):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=size,
                pad_shape=size,
                ori_shape=size,
                batch_input_shape=size,
                scale_factor=(1, 1),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.arange(len(boxes)),
        )
        samples.append(sample)
    losses = model.loss(torch.randn(2, 3, *size), samples)
    total, log = model.parse_losses(losses)
    total.backward()
    assert all(value.isfinite().all() for value in log.values())
    with torch.no_grad():
        results = model.eval().predict(torch.randn(2, 3, *size), samples)
    assert all(r.pred_instances.bboxes.isfinite().all() for r in results)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize('system', ['ssd', 'yolov3', 'faster-rcnn'])
def test_other_systems_differ_from_stock_in_their_parts(load_config, system):
    names = [
        f'anchor_systems/{system}{kind}_r18-w32_digits.py'
        for kind in ('', '-stock')
    ]
    ours, stock = (load_config(name) for name in names)
    ours.pop('custom_imports')
    stock.pop('custom_imports', None)
    for cfg in (ours, stock):
        train = cfg.model.train_cfg
        train.get('rpn', train).pop('assigner')
        head = 'rpn_head' if 'rpn_head' in cfg.model else 'bbox_head'
        cfg.model[head].pop('bbox_coder', None)
    assert ours.to_dict() == stock.to_dict()


@pytest.mark.parametrize(
    ('side', 'standard_box'),
    [(3, (44, 44)), (5, (45, 47)), (7, (48, 50)), (9, (53, 53))],
)
def test_grids_of_the_paper(load_config, side, standard_box):
    generator = build(
        load_config(R50.format(f'{side}x{side}'))
    ).bbox_head.prior_generator
    assert generator.num_base_priors == [side * side] * 5
    assert generator.standard_box == standard_box
    # The published standard box is the mean of the grid, within 2 px.
    mean = generator.base_shapes[0].mean(0).flip(0)
    assert (mean - torch.tensor(standard_box)).abs().max() < 2


def test_data_dependent(load_config):
    head = build(load_config(R50.format('3x3-data-dependent'))).bbox_head
    assert head.retina_cls.data_dependent
    assert head.retina_reg.data_dependent


@pytest.mark.parametrize(
    ('name', 'generated'),
    [
        # W11, U and V; and W11 and W2; for classes and for boxes
        ('3x3', 2 * (2 * 128 + 128 * 8) + 8 * 84 * (256 * 9 + 1)),
        ('3x3-published', 2 * (2 * 128) + 128 * 84 * (256 * 9 + 1)),
    ],
)
def test_size_of_the_generator(load_config, name, generated):
    head = build(load_config(R50.format(name))).bbox_head
    extra = sum(
        p.numel()
        for part in (head.retina_cls, head.retina_reg)
        for name, p in part.named_parameters()
        if not name.startswith('shared')
    )
    assert extra == generated


@pytest.mark.parametrize('name', TWINS)
def test_twins_differ_in_the_head_alone(load_config, name):
    folder = name.split('_')[-1]
    stock = load_config(f'{folder}/retinanet_{name}.py')
    meta = load_config(f'{folder}/meta-retinanet_{name}.py')
    for cfg in (stock, meta):
        cfg.pop('custom_imports', None)
    head = meta.model.bbox_head
    assert head.pop('type') == 'MetaRetinaHead'
    assert stock.model.bbox_head.pop('type') == 'RetinaHead'
    assert head.anchor_generator.pop('type') == 'MetaAnchorGenerator'
    assert stock.model.bbox_head.anchor_generator.pop('type')
    assert meta.to_dict() == stock.to_dict()


def test_custom_reads_the_classes(load_config):
    cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
    assert cfg.train_dataloader.dataset.metainfo.classes == ('odd', 'even')
    assert cfg.test_dataloader.dataset.metainfo.classes == ('odd', 'even')
    assert cfg.model.bbox_head.num_classes == 2


def test_a_stock_config_changes_only_type_names():
    cfg = Config.fromfile(ROOT / 'configs' / R50.format('3x3'))
    cfg = Config(dict(model=cfg.model))
    cfg.model.bbox_head.anchor_generator.pop('standard_box')
    head = build(cfg).bbox_head
    assert head.prior_generator.num_base_priors == [9] * 5
