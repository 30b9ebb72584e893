"""Stock detectors and the ways to run MetaAnchor, as models to be timed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from mmdet.models.dense_heads import SSDHead
from mmengine.config import Config
from mmengine.hub import get_config
from torch import Tensor, nn

from mmdet_metaanchor.export.bake import bake_anchors

from ..detectors import dense_head
from .timing import build_model, inference, make_batch, training_step

# Numbers of priors, and what the configs call their grids; a last one, larger
# than any of theirs, is 7 scales of 23 ratios from 1/5 to 5.
GRIDS = {k * k: f'{k}x{k}' for k in (3, 5, 7, 9)} | {161: '9x9'}
MANY = dict(scales_per_octave=7, ratios=[5 ** (i / 11 - 1) for i in range(23)])
RUNS = ('inference', 'training step')
# COCO's train2017 has 860 001 objects in 118 287 images: 7.3 per image.
OBJECTS = 7


class Variant(NamedTuple):
    """Changes to the config of MetaAnchor's model, and what is measured."""

    changes: dict
    runs: tuple[str, ...] = RUNS


STOCK = 'stock'


def _function(**kwargs) -> dict:
    """Changes to the generators of the head."""
    return dict(bbox_head=dict(anchor_function=kwargs))


# With the thresholds of stock RetinaNet.
ASSIGNER = dict(
    train_cfg=dict(
        assigner=dict(
            _delete_=True,
            type='FasterRCNNAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
        )
    )
)
# Detecting needs no assigner.
TRAINING = ('training step',)
VARIANTS = {
    STOCK: Variant({}),
    'default': Variant({}),
    'rank4': Variant(_function(rank=4)),
    'full': Variant(_function(rank=None)),
    'baked': Variant({}, ('inference',)),
    'data-dependent': Variant(_function(data_dependent=True)),
    'assigner': Variant(ASSIGNER, TRAINING),
    'rank4-assigner': Variant({**_function(rank=4), **ASSIGNER}, TRAINING),
    'data-dependent-assigner': Variant(
        {**_function(data_dependent=True), **ASSIGNER}, TRAINING
    ),
}
RIVALS = [name for name in VARIANTS if name != STOCK]
# Of other families than RetinaNet, by the configs of stock and MetaAnchor.
FAMILIES = {
    'rpn': (
        'rpn/rpn_r50_fpn_1x_coco.py',
        'meta_faster_rcnn/meta-rpn_r50_fpn_1x_coco.py',
    ),
    'faster-rcnn': (
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'meta_faster_rcnn/meta-faster-rcnn_r50_fpn_1x_coco.py',
    ),
    'ssd': ('ssd/ssd300_coco.py', 'meta_ssd/meta-ssd300_coco.py'),
    'yolov3': (
        'yolo/yolov3_d53_8xb8-ms-608-273e_coco.py',
        'meta_yolov3/meta-yolov3_d53_8xb8-ms-608-273e_coco.py',
    ),
}
NAMES = {
    'retinanet': 'RetinaNet, ResNet-50 FPN',
    'rpn': 'RPN, ResNet-50 FPN',
    'faster-rcnn': 'Faster R-CNN, ResNet-50 FPN',
    'ssd': 'SSD, VGG-16',
    'yolov3': 'YOLOv3, DarkNet-53',
}
# The thresholds of ASSIGNER are RetinaNet's.
RIVALS_OF_FAMILIES = [name for name in RIVALS if 'assigner' not in name]
# MMDetection 3.3 cannot detect with SSD without it, see RepairedSSDHead.
SSDHead.loss_cls = None


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        image_size (tuple[int, int]): (height, width) of the images, px.
        batch_size (int): Images of a training step; inference takes one.
        pairs (int): Measurements of stock and a variant in turns.
        dtype (str): ``'fp32'``, or ``'bf16'`` for a network under autocast.
        compile (bool): Whether ``torch.compile`` gets the network.
        device (str): Where to run.
        family (str): The detector, one of ``NAMES``.

    Raises:
        ValueError: A number is not positive.
    """

    image_size: tuple[int, int]
    batch_size: int
    pairs: int
    dtype: str = 'fp32'
    compile: bool = False
    device: str = 'cpu'
    family: str = 'retinanet'

    #: Ground truths of an image.
    objects: ClassVar[int] = OBJECTS

    def __post_init__(self) -> None:
        for name in ('image_size', 'batch_size', 'pairs'):
            value = getattr(self, name)
            if min(value if name == 'image_size' else [value]) < 1:
                raise ValueError(f'{name} must be positive, got {value}')


def read_configs(priors: int) -> tuple[Config, Config]:
    """Configs of RetinaNet R50 FPN and of MetaAnchor, with the same priors.

    Args:
        priors (int): Priors of a cell, one of ``GRIDS``.

    Returns:
        tuple[Config, Config]: Stock and MetaAnchor.
    """
    stock = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    ours = get_config(
        'mmdet_metaanchor::meta_retinanet/'
        f'meta-retinanet_r50_fpn_{GRIDS[priors]}_1x_coco.py'
    )
    grid = ours.model.bbox_head.anchor_generator
    if priors == 161:
        grid.update(MANY)
    stock.model.bbox_head.anchor_generator.update(
        scales_per_octave=grid.scales_per_octave, ratios=grid.ratios
    )
    return stock, ours


def read_family(name: str) -> tuple[int, tuple[Config, Config]]:
    """Configs of another family, and the most priors of a cell.

    Args:
        name (str): One of ``FAMILIES``.

    Returns:
        tuple[int, tuple[Config, Config]]: The priors, and stock and
        MetaAnchor.
    """
    stock, ours = FAMILIES[name]
    configs = (
        get_config(f'mmdet::{stock}'),
        get_config(f'mmdet_metaanchor::{ours}'),
    )
    head = dense_head(build_model(configs[1], 'cpu'))
    return max(head.prior_generator.num_base_priors), configs


def build_variant(
    name: str, configs: tuple[Config, Config], device: str
) -> tuple[Config, nn.Module]:
    """Detector of a variant, with random weights.

    Args:
        name (str): One of ``VARIANTS``.
        configs (tuple[Config, Config]): Stock and MetaAnchor.
        device (str): Where to put it.

    Returns:
        tuple[Config, nn.Module]: Its config, which :func:`build_model` builds
        too, and the detector.
    """
    stock, ours = configs
    cfg = copy.deepcopy(stock if name == STOCK else ours)
    changes = copy.deepcopy(VARIANTS[name].changes)
    if 'rpn_head' in cfg.model and changes:
        changes['rpn_head'] = changes.pop('bbox_head')
    cfg.merge_from_dict(dict(model=changes))
    model = build_model(cfg, device)
    if name == 'baked':
        cfg, state = bake_anchors(model, cfg)
        model = build_model(cfg, device)
        model.load_state_dict(state)
    return cfg, model


def make_run(
    what: str, cfg: Config, model: nn.Module, settings: Settings
) -> Callable[[], None]:
    """What is measured, once; the images are the same for all variants.

    Args:
        what (str): One of ``RUNS``.
        cfg (Config): The config, for the optimizer.
        model (nn.Module): Its detector.
        settings (Settings): Sizes and device.

    Returns:
        Callable[[], None]: The run.
    """
    torch.manual_seed(0)
    if what == 'training step':
        return training_step(
            model,
            make_batch(
                settings.image_size, settings.batch_size, settings.objects
            ),
            cfg.optim_wrapper,
        )
    return inference(
        model, make_batch(settings.image_size, 1, settings.objects)
    )


def set_precision(model: nn.Module, settings: Settings) -> None:
    """Put the network, up to the head's outputs, in ``dtype``; compile it.

    Losses and suppression stay in single precision, as they are: operators
    of MMCV among them know no bfloat16.
    """
    head = dense_head(model)
    for owner, name in ((model, 'extract_feat'), (head, 'forward')):
        call = getattr(owner, name)
        if settings.compile:
            call = torch.compile(call)
        if settings.dtype == 'bf16':
            call = torch.autocast(settings.device, torch.bfloat16)(call)
        setattr(owner, name, call)
    head.register_forward_hook(_to_single)


def _to_single(_head, _inputs, outputs: tuple) -> tuple:
    """Scores and deltas, (N, A * C, H, W) per level, in single precision."""

    def cast(level: Tensor) -> Tensor:
        return level.float()

    return tuple([cast(level) for level in levels] for levels in outputs)
