"""AnchorCoverageHook: do the anchors fit the boxes, before a training."""

import logging
from collections.abc import Iterator

import numpy as np
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ..runtime.arguments import known_arguments
from ..runtime.config_types import unwrapped
from ..runtime.runner import model_of
from .boxes import Boxes
from .cover import MAX_SIDE_RATIO, THRESHOLDS, Cover, cover, summarise_cover
from .cover import unreached as list_unreached
from .customize import find_anchor_head
from .matches import innermost
from .training_boxes import read_training_boxes

# Below it YOLOv5 replaces the anchors of a model before it trains.
LOW = 0.98
MOST_IMAGES = 10_000
# What assigners call the IoU above which a prior is positive; the last is
# that of YOLOv3Assigner, which makes but the best prior of a box positive.
IOU_THRESHOLDS = ('pos_iou_thr', 'iou_thr', 'ignore_iou_thr')
USUAL_THRESHOLD = 0.5


@HOOKS.register_module()
@known_arguments
class AnchorCoverageHook(Hook):
    """Log how the anchors cover the training boxes, before the first step.

    It works for stock detectors and for MetaAnchor's, and trains as before.
    The log has

    - the best possible recall, as YOLOv5 counts it: the share of boxes with
      an anchor of which no side differs by a factor of 4 or more;
    - the share of boxes whose best IoU with an anchor, where its cells are,
      reaches the threshold above which the assigner makes a prior positive;
    - the levels whose anchors are the best ones of no box;
    - the boxes that no anchor reaches, worst first: their best IoU is below
      0.4, at which RetinaNet makes priors background. All that such a box
      trains is its one best prior, where the assigner forces that and a
      prior touches the box. Anchors are a stride s apart, so one of the very
      shape of a box may be s / 2 away. Where a side h of the box is below s,
      their IoU is then less than (h - s / 2) / (h + s / 2) < 1 / 3: larger
      images help more. Those that :class:`.ScaleCompensationAssigner` would
      give more priors are counted, where the assigner is MaxIoUAssigner.

    Coverage is low, and the log is a warning that names
    ``tools/cluster_anchors.py``, if the best possible recall or the share of
    boxes that an anchor reaches is below 0.98. This is YOLOv5's limit.
    Assigners that do not go by IoU, as ATSS, are not warned of.

    Boxes are counted at the size of the training pipeline, see
    :func:`.read_training_boxes`; of more than 10 000 images, at that many.

    Args:
        shown (int): Boxes that no anchor reaches to name. Defaults to 5.
    """

    def __init__(self, shown: int = 5) -> None:
        self.shown = shown

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Log it, in the process of rank 0.

        Args:
            runner (Runner): The runner of the training.
        """
        model = model_of(runner)
        head = find_anchor_head(model)
        if head is None:
            runner.logger.info(
                f'AnchorCoverageHook: {type(model).__name__} has no anchors, '
                'so there is nothing to cover boxes with.'
            )
            return
        dataset = runner.train_dataloader.dataset
        try:
            boxes = read_training_boxes(
                dataset, _test_pipeline(runner), MOST_IMAGES
            )
        except ValueError as error:
            runner.logger.warning(f'AnchorCoverageHook: {error}.')
            return
        found = cover(boxes, head.prior_generator)
        low, lines = describe(boxes, found, head, self.shown)
        if low:
            lines.append(_advice(runner))
        level = logging.WARNING if low else logging.INFO
        runner.logger.log(level, 'AnchorCoverageHook: ' + '\n'.join(lines))


def describe(
    boxes: Boxes, found: Cover, head: nn.Module, shown: int
) -> tuple[bool, list[str]]:
    """Whether coverage is low, and the lines of the log.

    Args:
        boxes (Boxes): The training boxes.
        found (Cover): Their best anchors.
        head (nn.Module): Of these anchors; its assigner gives the threshold.
        shown (int): Boxes that no anchor reaches to name.
    """
    everything = summarise_cover(boxes, found)[0]
    number = everything['boxes']
    lost = list_unreached(boxes, found)
    reached = 1 - len(lost) / number
    recall = everything['best_possible_recall']
    by_iou, line = _share_of_positive(found, head)
    lines = [
        f'{number} boxes of {len(set(boxes.files))} training images, mean '
        f'best IoU with an anchor {everything["mean_iou"]:.3f}',
        f'  best possible recall (sides within a factor of '
        f'{MAX_SIDE_RATIO:g}): {recall:.3f}',
        line,
        *_levels(found, head.prior_generator),
        f'  boxes that no anchor reaches (best IoU below '
        f'{min(THRESHOLDS)}): {len(lost)}, {1 - reached:.1%}',
    ]
    stride = min(stride[0] for stride in head.prior_generator.strides)
    low = found.iou < min(THRESHOLDS)
    tiny = low & (boxes.sizes < stride).any(1)
    if tiny.any():
        lines.append(
            f'    {tiny.sum()} of them have a side below the smallest stride, '
            f'{stride:g} px: larger images reach these, other anchors few'
        )
    if compensable := _compensable(found.iou[low], head):
        lines.append(
            f'    {compensable} of them have few positive priors; '
            'ScaleCompensationAssigner in train_cfg gives them more'
        )
    for box in lost[:shown]:
        corners = ', '.join(f'{corner:g}' for corner in box['box'])
        lines.append(
            f'    {box["file"]}: {box["class_name"]} (x1, y1, x2, y2) = '
            f'({corners}) px as resized, IoU {box["iou"]:.3f}'
        )
    if len(lost) > shown:
        lines.append(f'    and {len(lost) - shown} more')
    return by_iou and min(recall, reached) < LOW, lines


def _share_of_positive(found: Cover, head: nn.Module) -> tuple[bool, str]:
    """Whether the assigner goes by IoU, and the line of the log."""
    assigner = innermost(getattr(head, 'assigner', None))
    name = type(assigner).__name__
    for key in IOU_THRESHOLDS:
        if hasattr(assigner, key):
            value, source = getattr(assigner, key), f'{key} of {name}'
            break
    else:
        key, value = None, USUAL_THRESHOLD
        source = f'{name} goes by no IoU, so that anchors need not fit'
    share = (found.iou >= value).mean()
    line = f'  best IoU of at least {value:g} ({source}): {share:.3f}'
    return key is not None, line


def _compensable(ious: np.ndarray, head: nn.Module) -> int:
    """How many of some unreached boxes ScaleCompensationAssigner helps."""
    assigner = innermost(getattr(head, 'assigner', None))
    if type(assigner) is not MaxIoUAssigner:
        return 0
    return int(((ious > 0) & (ious >= assigner.min_pos_iou)).sum())


def _levels(found: Cover, generator: AnchorGenerator) -> Iterator[str]:
    numbers = [
        (f'{stride[0]:g}', int((found.level == level).sum()))
        for level, stride in enumerate(generator.strides)
    ]
    parts = ', '.join(f'{stride} px {number}' for stride, number in numbers)
    yield f'  boxes by the stride of their best anchor: {parts}'
    if unused := [stride for stride, number in numbers if not number]:
        yield f'  strides that no box uses: {", ".join(unused)} px'


def _test_pipeline(runner: Runner) -> list[dict]:
    for name in ('test_dataloader', 'val_dataloader'):
        loader = runner.cfg.get(name) or {}
        dataset = unwrapped(loader.get('dataset') or {})
        if 'pipeline' in dataset:
            return dataset['pipeline']
    return []


def _advice(runner: Runner) -> str:
    config = runner.cfg.filename or 'CONFIG'
    dataset = runner.train_dataloader.dataset
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    ann_file = getattr(dataset, 'ann_file', None) or 'TRAIN.json'
    return (
        f'  That is low: below {LOW:g} of the boxes have a fitting anchor. '
        'This makes anchors from them: '
        f'python tools/cluster_anchors.py {config} {ann_file} anchors.json '
        '--beyond-range'
    )
