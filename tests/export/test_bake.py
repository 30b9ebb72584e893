"""A baked detector is a stock one that detects the same."""

import subprocess
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmdet_metaanchor import (
    AnchorCoverageHook,
    CheckedCocoDataset,
    bake_anchors,
    customize_anchors,
)
from mmdet_metaanchor.anchors.customize import find_head, read_generator
from mmdet_metaanchor.datasets.dataset_types import use_checked_datasets
from mmdet_metaanchor.export.bake import write_stock
from mmdet_metaanchor.method.shape_range import reach_of_box
from mmdet_metaanchor.runtime.command_line import skip_non_finite_steps
from mmdet_metaanchor.runtime.interruptions import survive_interruptions

STRIDES = (8, 16, 32, 64, 128)
LISTED = [[(2.5 * s, 4 * s), (6 * s, 3 * s)] for s in STRIDES]
SETS = {
    'as trained': None,
    'a grid': dict(scales=[3, 5], ratios=[0.7, 1.9]),
    'a list of sizes': LISTED,
    'around the middle': dict(
        type='YOLOAnchorGenerator', base_sizes=LISTED, strides=list(STRIDES)
    ),
}

PYTHON_STYLE = """
from mmdet.models import (
    FPN, DetDataPreprocessor, FocalLoss, L1Loss, MaxIoUAssigner, ResNet,
    RetinaNet,
)
from mmdet_metaanchor import MetaAnchorGenerator, MetaRetinaHead
from mmdet_metaanchor.published.assigners import FasterRCNNAssigner
model = dict(
    type=RetinaNet,
    data_preprocessor=dict(type=DetDataPreprocessor, pad_size_divisor=32),
    backbone=dict(type=ResNet, depth=18, base_channels=8),
    neck=dict(
        type=FPN, in_channels=[8, 16, 32, 64], out_channels=8, start_level=1,
        add_extra_convs='on_output', num_outs=5,
    ),
    bbox_head=dict(
        type=MetaRetinaHead, num_classes=2, in_channels=8, feat_channels=8,
        stacked_convs=1,
        anchor_generator=dict(
            type=MetaAnchorGenerator, scales=[4, 5], ratios=[1.0],
            strides=[8, 16, 32, 64, 128],
        ),
        loss_cls=dict(type=FocalLoss), loss_bbox=dict(type=L1Loss),
    ),
    train_cfg=dict(
        assigner=dict(type=FasterRCNNAssigner), allowed_border=-1,
        pos_weight=-1,
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.0,
        nms=dict(type='nms', iou_threshold=0.5), max_per_img=100,
    ),
)
"""


@pytest.fixture
def build(load_config):
    """A small MetaAnchor RetinaNet whose priors differ, and its config."""

    def build(**head):
        cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
        cfg.model.bbox_head.update(head)
        cfg.model.test_cfg.score_thr = 0.0
        cfg.model.backbone.init_cfg = None
        model = MODELS.build(cfg.model)
        for part in (model.bbox_head.retina_cls, model.bbox_head.retina_reg):
            torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
        return model.eval(), cfg

    return build


@pytest.mark.parametrize('form', ['published', 'scaled', 'absolute'])
@pytest.mark.parametrize('name', SETS)
def test_detects_the_same(build, detect, name, form):
    model, cfg = build(box_function=form)
    # log size, log ratio: no larger than the standard box, no wider than 3
    low, high = torch.tensor([[-0.2, -1.1], [0.0, 0.3]])
    model.bbox_head.shape_range[:] = reach_of_box(low, high)
    if SETS[name] is not None:
        customize_anchors(model, SETS[name])
    stock_cfg, state = bake_anchors(model, cfg)
    stock = MODELS.build(stock_cfg.model).eval()
    stock.load_state_dict(state)  # strictly
    assert type(stock.bbox_head).__name__ == 'RetinaHead'
    live, baked = detect(model), detect(stock)
    assert len(live) == len(baked) > 0
    torch.testing.assert_close(baked.scores, live.scores)
    assert torch.equal(baked.labels, live.labels)
    torch.testing.assert_close(baked.bboxes, live.bboxes, rtol=1e-5, atol=1e-3)


def test_nothing_is_changed(build):
    model, cfg = build()
    before = (
        cfg.to_dict(),
        {k: v.clone() for k, v in model.state_dict().items()},
    )
    bake_anchors(model, cfg)
    assert cfg.to_dict() == before[0]
    torch.testing.assert_close(
        model.state_dict(), before[1], rtol=0, atol=0, equal_nan=True
    )


WITHOUT_US = """
import sys
sys.modules['mmdet_metaanchor'] = None  # importing it fails
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
register_all_modules()
SSDHead.loss_cls = None  # which MMDetection 3.3 needs to detect with it
model = MODELS.build(Config.fromfile('stock.py').model).eval()
model.load_state_dict(torch.load('stock.pth'))  # strictly
image, info = torch.load('image.pth')
with torch.no_grad():
    found = model.predict(image, [DetDataSample(metainfo=info)])
found = found[0].pred_instances
torch.save((found.bboxes, found.scores, found.labels), 'found.pth')
"""


def run_in(folder, code):
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    'name',
    [
        'digits/meta-retinanet',
        'meta_ssd/meta-ssd',
        'meta_yolov3/meta-yolov3',
        'meta_faster_rcnn/meta-rpn',
    ],
)
def test_needs_no_plugin(load_config, name, tmp_path):
    """A process that cannot import this package detects the same."""
    cfg = load_config(f'{name}_r18-w32_digits.py')
    cfg.model.backbone.init_cfg = None
    use_checked_datasets(cfg)  # as a training by our tools leaves it
    test_cfg = cfg.model.test_cfg
    test_cfg.get('rpn', test_cfg).update(score_thr=0.0)
    train_cfg = cfg.model.train_cfg
    train_cfg.get('rpn', train_cfg).assigner = dict(type='FasterRCNNAssigner')
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.eval()
    head = find_head(model)
    for part in head.anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
    strides = [w for w, _ in head.prior_generator.strides]
    customize_anchors(model, [[(2.5 * s, 4 * s), (6 * s, 3 * s)]
                              for s in strides])  # fmt: skip
    stock_cfg, state = bake_anchors(model, cfg)
    Config(dict(model=stock_cfg.model)).dump(tmp_path / 'stock.py')
    assert 'custom_imports' not in stock_cfg
    assert stock_cfg.test_dataloader.dataset.type == 'CocoDataset'
    torch.save(state, tmp_path / 'stock.pth')
    image = torch.randn(1, 3, 96, 128)
    size = (96, 128)
    info = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    torch.save((image, info), tmp_path / 'image.pth')
    run_in(tmp_path, WITHOUT_US)
    bboxes, scores, labels = torch.load(tmp_path / 'found.pth')
    with torch.no_grad():
        live = model.predict(image, [DetDataSample(metainfo=info)])
    live = live[0].pred_instances
    assert len(bboxes) > 0
    torch.testing.assert_close(scores, live.scores, rtol=1e-5, atol=1e-6)
    assert torch.equal(labels, live.labels)
    torch.testing.assert_close(bboxes, live.bboxes, rtol=1e-5, atol=1e-3)


def test_a_kernel_smaller_than_stock_is_surrounded_by_zeros(build, detect):
    model, cfg = build(anchor_function=dict(kernel_size=1))
    stock_cfg, state = bake_anchors(model, cfg)
    weight = state['bbox_head.retina_cls.weight']
    assert weight.shape[-2:] == (3, 3)
    assert weight.count_nonzero() == weight[..., 1, 1].count_nonzero() > 0
    stock = MODELS.build(stock_cfg.model).eval()
    stock.load_state_dict(state)
    live, baked = detect(model), detect(stock)
    torch.testing.assert_close(baked.scores, live.scores)
    torch.testing.assert_close(baked.bboxes, live.bboxes, rtol=1e-5, atol=1e-3)


def test_a_kernel_larger_than_stock_is_refused(build):
    model, cfg = build(anchor_function=dict(kernel_size=5))
    with pytest.raises(ValueError, match=r'\(5, 5\), larger .* \(3, 3\)'):
        bake_anchors(model, cfg)


def test_the_coder_keeps_its_settings(build):
    settings = dict(
        target_means=[0.1, -0.1, 0.2, 0.0],
        clip_border=False,
        add_ctr_clamp=True,
        ctr_clamp=5,
    )
    model, cfg = build(
        bbox_coder=dict(
            type='DeltaXYWHVarianceBBoxCoder',
            variances=(0.1, 0.1, 0.2, 0.2),
            **settings,
        )
    )
    coder = bake_anchors(model, cfg)[0].model.bbox_head.bbox_coder
    assert coder.type == 'DeltaXYWHBBoxCoder'
    assert coder.target_stds == [0.1, 0.1, 0.2, 0.2]
    for name, value in settings.items():
        assert coder[name] == value


def test_a_config_in_python_style(tmp_path, detect):
    """Types are classes, which MMEngine imports lazily."""
    (tmp_path / 'config.py').write_text(PYTHON_STYLE)
    cfg = Config.fromfile(tmp_path / 'config.py')
    model = MODELS.build(cfg.model).eval()
    for part in model.bbox_head.anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
    stock_cfg, state = bake_anchors(model, cfg)
    assert read_generator(cfg).num_base_priors == [2] * 5
    (tmp_path / 'stock.py').write_text(stock_cfg.pretty_text)
    read = Config.fromfile(tmp_path / 'stock.py')
    assert 'metaanchor' not in read.pretty_text
    stock = MODELS.build(read.model).eval()
    stock.load_state_dict(state)
    torch.testing.assert_close(detect(stock).bboxes, detect(model).bboxes)


def test_refuses_what_stock_cannot_express(build):
    model, cfg = build(anchor_function=dict(data_dependent=True))
    with pytest.raises(ValueError, match='data_dependent'):
        bake_anchors(model, cfg)
    model, cfg = build()
    customize_anchors(model, [[(32, 32)]] * 5)
    with pytest.raises(ValueError, match='codes of level 0'):
        bake_anchors(model, cfg)
    model, cfg = build(bbox_coder=dict(type='CornersVarianceBBoxCoder'))
    with pytest.raises(ValueError, match='CornersVarianceBBoxCoder'):
        bake_anchors(model, cfg)


def test_refuses_stock(load_config):
    cfg = load_config('custom/retinanet_r18-w32_custom.py')
    with pytest.raises(TypeError, match='RetinaHead'):
        bake_anchors(MODELS.build(cfg.model), cfg)


READ_WITHOUT_US = """
import sys
sys.modules['mmdet_metaanchor'] = None  # importing it fails
from mmdet.registry import DATASETS, HOOKS, LOOPS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS
register_all_modules()
cfg = Config.fromfile('stock.py')
MODELS.build(cfg.model)
for registry, part in (
    (DATASETS, cfg.train_dataloader.dataset),
    (HOOKS, cfg.default_hooks.checkpoint),
    (HOOKS, cfg.custom_hooks[0]),
    (LOOPS, cfg.train_cfg),
    (OPTIM_WRAPPERS, cfg.optim_wrapper),
):
    print(registry.get(part.type).__name__)
"""


@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_config_of_a_training(load_config, tmp_path, by_epoch):
    """As tools/train.py leaves it, with all that it may name of ours."""
    cfg = load_config('meta_yolov3/meta-yolov3_r18-w32_digits.py')
    cfg.custom_imports = dict(imports='mmdet_metaanchor')
    cfg.custom_hooks = [
        dict(type='AnchorCoverageHook'),
        dict(type=AnchorCoverageHook),
        dict(type='EMAHook'),
    ]
    cfg.model.backbone.init_cfg = None
    cfg.model.bbox_head.loss_conf = dict(
        type='ObjectnessLoss', noobj_weight=0.3, loss_weight=2.0
    )
    if not by_epoch:
        cfg.train_cfg = dict(by_epoch=False, max_iters=3)
    use_checked_datasets(cfg)
    skip_non_finite_steps(cfg)
    cfg.optim_wrapper.non_finite = 'stop'
    survive_interruptions(cfg)
    cfg.val_dataloader.dataset.type = CheckedCocoDataset  # Python style
    model = MODELS.build(cfg.model).eval()
    stock_cfg, state = bake_anchors(model, cfg)
    assert stock_cfg.model.bbox_head.loss_conf == dict(
        type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0
    )
    assert stock_cfg.val_dataloader.dataset.type == 'CocoDataset'
    assert 'non_finite' not in stock_cfg.optim_wrapper
    assert 'backend_args' not in stock_cfg.default_hooks.checkpoint
    write_stock(tmp_path / 'stock.pth', stock_cfg, state, {})
    assert 'metaanchor' not in (tmp_path / 'stock.py').read_text()
    said = run_in(tmp_path, READ_WITHOUT_US)
    loop = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    assert said.split()[-5:] == [
        'CocoDataset', 'CheckpointHook', 'EMAHook', loop, 'OptimWrapper'
    ]  # fmt: skip


def test_other_imports_stay(build):
    model, cfg = build()
    cfg.custom_imports = dict(imports=['mmdet_metaanchor.heads', 'json'])
    assert bake_anchors(model, cfg)[0].custom_imports.imports == ['json']


@pytest.mark.parametrize(
    'kind',
    [
        'SeededSampler',
        'mmdet.SeededSampler',
        'mmdet_metaanchor.runtime.exact_loops.SeededSampler',
    ],
)
def test_what_is_left_of_us_is_named(build, kind):
    model, cfg = build()
    cfg.train_dataloader.sampler = dict(type=kind)
    said = r"train_dataloader\.sampler\.type='SeededSampler'"
    with pytest.raises(ValueError, match=said):
        bake_anchors(model, cfg)
