"""Every config builds, and says no more than what differs."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
R50 = 'meta_retinanet/meta-retinanet_r50_fpn_{}_1x_coco.py'
TWINS = ['digits', 'custom']
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
    assert type(model.bbox_head).__name__ == (
        'MetaRetinaHead' if 'meta' in name else 'RetinaHead'
    )


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
    assert generator.jitter == 0.5


def test_data_dependent(load_config):
    head = build(load_config(R50.format('3x3-data-dependent'))).bbox_head
    assert head.retina_cls.data_dependent
    assert head.retina_reg.data_dependent


@pytest.mark.parametrize('folder', TWINS)
def test_twins_differ_in_the_head_alone(load_config, folder):
    stock = load_config(f'{folder}/retinanet_r18-w32_{folder}.py')
    meta = load_config(f'{folder}/meta-retinanet_r18-w32_{folder}.py')
    for cfg in (stock, meta):
        cfg.pop('custom_imports', None)
    head = meta.model.bbox_head
    assert head.pop('type') == 'MetaRetinaHead'
    assert stock.model.bbox_head.pop('type') == 'RetinaHead'
    assert head.anchor_generator.pop('type') == 'MetaAnchorGenerator'
    assert stock.model.bbox_head.anchor_generator.pop('type')
    head.anchor_generator.pop('jitter')
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
