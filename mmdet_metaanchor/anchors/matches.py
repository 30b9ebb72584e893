"""What an assigner makes of the priors of an image."""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .boxes import resize_boxes
from .customize import find_anchor_head


class Scene(NamedTuple):
    """The priors and the objects of an image, in px as resized.

    ``priors``, (n, 4) one per level, ``(x1, y1, x2, y2)``; ``inside``, (n,)
    which of them train: not those farther beyond the image than the
    ``allowed_border`` of the config; ``responsible``, (n,) which are at the
    cell that the centre of an object is in; ``objects`` and ``crowds``,
    ``bboxes`` (k, 4) and ``labels`` (k,); ``meta``, of the image.
    """

    strides: list[tuple[int, int]]
    priors: list[Tensor]
    inside: list[Tensor]
    responsible: list[Tensor]
    objects: InstanceData
    crowds: InstanceData
    meta: dict


def find_assigning_head(model: nn.Module) -> nn.Module:
    """The part of a detector that assigns objects to anchors.

    Raises:
        TypeError: It has no anchors, or no assigner.
    """
    head = find_anchor_head(model)
    if head is None:
        name = type(model).__name__
        head = getattr(model, 'bbox_head', None)
        rule = type(getattr(head, 'assigner', None)).__name__
        if rule == 'NoneType':
            rule = 'no assigner'
        raise TypeError(
            f'{name} has no anchors, and {rule}; what is matched can be shown '
            'for detectors with an anchor generator'
        )
    if not hasattr(head, 'assigner'):
        raise TypeError(
            f'{type(head).__name__} has no assigner; does model.train_cfg '
            'have one?'
        )
    return head


def innermost(assigner: BaseAssigner | None) -> BaseAssigner | None:
    """The assigner that one wraps, as ZeroLossAssigner does, or itself."""
    while hasattr(assigner, 'assigner'):
        assigner = assigner.assigner
    return assigner


@torch.no_grad()
def view_scene(model: nn.Module, dataset: BaseDataset, index: int) -> Scene:
    """The priors and the objects of an image.

    Args:
        model (nn.Module): A detector with anchors; of its network, only the
            sizes of the features count.
        dataset (BaseDataset): Of the test pipeline, which resizes.
        index (int): Of the image.

    Raises:
        TypeError: As :func:`find_assigning_head`.
    """
    head = find_assigning_head(model)
    item = pseudo_collate([dataset[index]])
    batch = model.data_preprocessor(item, False)
    (sample,) = batch['data_samples']
    feats = model.extract_feat(batch['inputs'])
    sizes = [feat.shape[-2:] for feat in feats]
    generator = head.prior_generator
    priors = generator.grid_priors(sizes, device='cpu')
    meta = dict(scale_factor=(1.0, 1.0)) | sample.metainfo
    instances = dataset.get_data_info(index)['instances']
    boxes = resize_boxes(
        dataset.pipeline.transforms,
        np.reshape([i['bbox'] for i in instances], (-1, 4)),
        meta['ori_shape'][::-1],
        meta['scale_factor'],
    )
    objects, crowds = (
        _instances(instances, boxes, ignored) for ignored in (False, True)
    )
    return Scene(
        generator.strides,
        priors,
        _inside(head, priors, sizes, meta),
        [
            _responsible(objects.bboxes, stride, size, len(level))
            for stride, size, level in zip(
                generator.strides, sizes, priors, strict=True
            )
        ],
        objects,
        crowds,
        meta,
    )


def match(scene: Scene, assigner: BaseAssigner) -> list[Tensor]:
    """What an assigner makes of the priors of an image.

    Args:
        scene (Scene): The image.
        assigner (BaseAssigner): One that goes by priors and objects, and not
            by what the network predicts.

    Returns:
        list[Tensor]: (n,), one per level: i + 1 where a prior is positive
        for object i, 0 where it is negative, and -1 where it takes no part,
        being ignored or too far beyond the image.

    Raises:
        TypeError: The assigner looks at predictions.
    """
    inside = torch.cat(scene.inside)
    kept = InstanceData(
        priors=torch.cat(scene.priors)[inside],
        responsible_flags=torch.cat(scene.responsible)[inside],
    )
    offered = dict(
        pred_instances=kept,
        num_level_priors=[int(level.sum()) for level in scene.inside],
        gt_instances=scene.objects,
        gt_instances_ignore=scene.crowds,
        img_meta=scene.meta,
    )
    inner = innermost(assigner)
    parameters = inspect.signature(inner.assign).parameters.values()
    needed = [p for p in parameters if p.default is p.empty]
    unknown = [
        p.name
        for p in needed
        if p.name not in offered
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    taken = {p.name: offered[p.name] for p in parameters if p.name in offered}
    try:
        if unknown:
            raise AttributeError(f'it takes {", ".join(unknown)}')
        result = assigner.assign(**taken)
    except AttributeError as error:
        raise TypeError(
            f'{type(inner).__name__} looks at more than priors and objects, '
            f'such as what a trained network predicts: {error}'
        ) from None
    every = torch.full_like(inside, -1, dtype=torch.long)
    every[inside] = result.gt_inds
    return list(every.split([len(level) for level in scene.priors]))


def _instances(
    instances: Sequence[dict], boxes: np.ndarray, ignored: bool
) -> InstanceData:
    chosen = [
        i
        for i, instance in enumerate(instances)
        if bool(instance['ignore_flag']) is ignored
    ]
    labels = [instances[i]['bbox_label'] for i in chosen]
    return InstanceData(
        bboxes=torch.as_tensor(boxes[chosen], dtype=torch.float),
        labels=torch.tensor(labels, dtype=torch.long),
    )


def _inside(
    head: nn.Module, priors: list[Tensor], sizes: list, meta: dict
) -> list[Tensor]:
    """Which priors a head gives its assigner; YOLOv3's gives all."""
    if not isinstance(head, AnchorHead):
        return [torch.ones(len(level), dtype=torch.bool) for level in priors]
    valid = head.prior_generator.valid_flags(
        sizes, meta.get('pad_shape', meta['img_shape']), device='cpu'
    )
    border = head.train_cfg.get('allowed_border', -1)
    return [
        anchor_inside_flags(level, flags, meta['img_shape'][:2], border)
        for level, flags in zip(priors, valid, strict=True)
    ]


def _responsible(
    boxes: Tensor, stride: tuple, size: Sequence[int], number: int
) -> Tensor:
    """Which of a level's priors are at a cell with the centre of a box."""
    height, width = size
    x, y = (
        ((boxes[:, :2] + boxes[:, 2:]) / 2 / torch.tensor(stride)).long().t()
    )
    flags = torch.zeros(height, width, dtype=torch.uint8)
    flags[y.clamp(0, height - 1), x.clamp(0, width - 1)] = 1
    return flags.flatten().repeat_interleave(number // (height * width))
