"""On a GPU the heads compute what they compute on a CPU, and train."""

import copy

import pytest
import torch
from families import (
    assert_equal,
    both_forms,
    build,
    build_stock,
    every_head,
    features,
)
from mmdet.registry import MODELS
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmdet_metaanchor import bake_anchors, customize_anchors
from mmdet_metaanchor.anchors.customize import list_shapes

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU'
)
CONFIGS = [
    'digits/meta-retinanet_r18-w32_digits.py',
    'meta_ssd/meta-ssd_r18-w32_digits.py',
    'meta_yolov3/meta-yolov3_r18-w32_digits.py',
    'meta_faster_rcnn/meta-rpn_r18-w32_digits.py',
    'meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
]


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Not TF32, whose products have 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    monkeypatch.setattr(torch.backends.cuda.matmul, 'allow_tf32', False)


def outputs(head, feats):
    device = next(head.parameters()).device
    with torch.no_grad():
        levels = head([feat.to(device) for feat in feats])
    return [[level.cpu() for level in branch] for branch in levels]


@every_head
@both_forms
@pytest.mark.parametrize('data_dependent', [False, True])
def test_outputs_are_those_of_a_cpu(name, form, data_dependent):
    head = build(name, form=form, data_dependent=data_dependent)
    feats = features(name)
    on_cpu = outputs(head, feats)
    assert_equal(outputs(head.cuda(), feats), on_cpu, tolerance=1e-4)


@every_head
@both_forms
def test_anchors_changed_on_a_gpu(name, form):
    """What was kept of the anchors before, on either device, is not used."""
    head = build(name, form=form)
    feats = features(name)
    sizes = [
        [(w * 1.3, h * 0.8) for w, h in level[:2]]
        for level in list_shapes(head.prior_generator)
    ]
    other = copy.deepcopy(head).cuda()
    outputs(head, feats), outputs(other, feats)
    customize_anchors(head, sizes)
    customize_anchors(other, sizes)
    assert_equal(outputs(other, feats), outputs(head, feats), tolerance=1e-4)
    assert_equal(outputs(other.cpu(), feats), outputs(head, feats))


@every_head
@both_forms
@pytest.mark.parametrize('state_on', ['cpu', 'cuda'])
def test_takes_a_stock_checkpoint(name, form, state_on):
    """A runner moves the model before it loads; a resume moves the state."""
    state = build_stock(name).state_dict()
    head = build(name, form=form)
    other = copy.deepcopy(head).cuda()
    head.load_state_dict(dict(state))
    other.load_state_dict({k: v.to(state_on) for k, v in state.items()})
    feats = features(name)
    assert_equal(outputs(other, feats), outputs(head, feats), tolerance=1e-4)


def move(samples, size):
    for sample in samples:
        sample.set_metainfo(
            dict(img_shape=size, ori_shape=size, batch_input_shape=size)
        )
    return [sample.cuda() for sample in samples]


@pytest.mark.parametrize('dtype', [None, 'bfloat16', 'float16'])
@pytest.mark.parametrize('config', CONFIGS)
def test_trains(load_config, data_samples, config, dtype):
    if dtype == 'bfloat16' and ('meta-faster' in config or 'retina' in config):
        pytest.skip("MMCV's RoIAlign and focal loss know no bfloat16")
    model = MODELS.build(load_config(config).model)
    model.init_weights()
    model.cuda().train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    if dtype is None:
        wrapper = OptimWrapper(optimizer)
    else:
        wrapper = AmpOptimWrapper(2.0**10, dtype, optimizer=optimizer)
    samples = move(data_samples, (128, 128))
    for _ in range(3):
        with wrapper.optim_context(model):
            losses = model.loss(
                torch.randn(2, 3, 128, 128, device='cuda'), samples
            )
            total, log = model.parse_losses(losses)
        wrapper.update_params(total)
        assert all(value.isfinite().all() for value in log.values())
    changed = [
        key
        for key, value in model.state_dict().items()
        if not torch.equal(value, before[key])
    ]
    assert any('residual_layer' in key for key in changed)


@pytest.mark.parametrize('config', CONFIGS)
def test_baked_is_live(load_config, config):
    cfg = load_config(config)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.cuda().eval()
    stock_cfg, state = bake_anchors(model, cfg)
    stock = MODELS.build(stock_cfg.model)
    stock.load_state_dict(state)
    stock.cuda().eval()
    image = torch.randn(1, 3, 128, 128, device='cuda')
    with torch.no_grad():
        live, baked = (
            (getattr(m, 'rpn_head', None) or m.bbox_head)(
                m.extract_feat(image)
            )
            for m in (model, stock)
        )
    assert_equal(baked, live)
