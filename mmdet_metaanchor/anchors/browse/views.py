"""Where anchors lie on an image, and what they detect alone and in sets."""

from typing import NamedTuple

import numpy as np
import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.dataset import pseudo_collate
from torch import nn
from tqdm import tqdm

from ...method.prior_generator import MetaAnchorGenerator
from ..customize import (
    Anchors,
    customize_anchors,
    find_heads,
    restored_anchors,
)
from ..drawing import DrawnBoxes, above_threshold

MOST_ALONE = 25  # anchors of a set that are looked at one by one


class SetView(NamedTuple):
    """What a model with a set of anchors makes of an image."""

    strides: list[int]  # px of the resized image, in x, one per level
    cell: list[np.ndarray]  # (A, 4) a level, see cell_anchors
    detections: DrawnBoxes


class AnchorView(NamedTuple):
    """What a model with one anchor per level makes of an image."""

    sizes: np.ndarray  # (levels, 2) (w, h) in px of the resized image
    detections: DrawnBoxes


def view_set(
    model: nn.Module, item: dict, anchors: Anchors | None, score_thr: float
) -> SetView:
    """What a set of anchors makes of an image.

    Args:
        model (nn.Module): As for :func:`.browse_anchors`.
        item (dict): The image, as the test pipeline gives it.
        anchors (dict | list | None): As for :func:`customize_anchors`; None
            for those that the model has.
        score_thr (float): Detections are kept whose score is above it.

    Returns:
        SetView: Its detections are what a test with these anchors gives.
    """
    with restored_anchors(model):
        if anchors is not None:
            customize_anchors(model, anchors)
        priors = find_heads(model)[0].prior_generator
        return view_as_is(model, priors, item, score_thr)


def view_as_is(
    model: nn.Module, priors: AnchorGenerator, item: dict, score_thr: float
) -> SetView:
    """What a detector, stock ones included, makes of an image.

    Args:
        model (nn.Module): Detector in evaluation mode.
        priors (AnchorGenerator): Its anchors.
        item (dict): The image, as the test pipeline gives it.
        score_thr (float): Detections are kept whose score is above it.
    """
    data = item['data_samples']
    return SetView(
        [stride[0] for stride in priors.strides],
        cell_anchors(priors, data.img_shape, data.scale_factor),
        _detect(model, item, score_thr),
    )


def view_each(
    model: nn.Module, item: dict, anchors: Anchors | None, score_thr: float
) -> dict[int, AnchorView]:
    """What each anchor of a set makes of an image when it is alone.

    Args:
        model (nn.Module): As for :func:`.browse_anchors`.
        item (dict): The image, as the test pipeline gives it.
        anchors (dict | list | None): As for :func:`view_set`.
        score_thr (float): Detections are kept whose score is above it.

    Returns:
        dict[int, AnchorView]: By index a of the anchor: the a-th of every
        level, at its size and place. Which ones, :func:`spread_anchors`
        says.
    """
    views = {}
    with restored_anchors(model):
        if anchors is not None:
            customize_anchors(model, anchors)
        priors = find_heads(model)[0].prior_generator
        chosen = spread_anchors(priors)
        for index in tqdm(chosen, 'each alone', unit='anchor', leave=False):
            sizes = [shapes[index].tolist() for shapes in priors.base_shapes]
            centers = [c[index].tolist() for c in priors.base_centers]
            customize_anchors(
                model, dict(shapes=[[size] for size in sizes], centers=centers)
            )
            views[index] = AnchorView(
                np.array(sizes), _detect(model, item, score_thr)
            )
    return views


def spread_anchors(
    generator: MetaAnchorGenerator, most: int = MOST_ALONE
) -> list[int]:
    """Anchors of a set to look at one by one.

    Args:
        generator (MetaAnchorGenerator): The set.
        most (int): How many, at most.

    Returns:
        list[int]: Indices that exist at every level, all of them if they
        are no more than ``most``. Otherwise they are ranked by area at the
        lowest level, those of one area by h / w, and ``most`` are taken at
        even distances of rank, the first and the last among them.
    """
    number = min(generator.num_base_priors)
    if number <= most:
        return list(range(number))
    logs = generator.base_shapes[0][:number].double().log().numpy()
    # Rounded, as the areas of a grid differ in their last bits.
    order = np.lexsort((logs[:, 1] - logs[:, 0], logs.sum(1).round(4)))
    ranks = np.linspace(0, number - 1, most).round().astype(int)
    return sorted(order[ranks].tolist())


def cell_anchors(
    generator: AnchorGenerator,
    img_shape: tuple[int, int],
    scale_factor: tuple[float, float],
) -> list[np.ndarray]:
    """Anchors of the cell nearest to the centre of an image.

    Args:
        generator (AnchorGenerator): The anchors.
        img_shape (tuple[int, int]): (H, W) in px of the resized image.
        scale_factor (tuple[float, float]): Of that resizing, (w, h).

    Returns:
        list[np.ndarray]: (A, 4) one per level, lowest first: ``(x1, y1, x2,
        y2)`` in px of the image file.
    """
    height, width = img_shape
    middle = torch.tensor([width, height]) / 2
    scale = torch.tensor(scale_factor).repeat(2)
    levels = []
    for base, stride in zip(
        generator.base_anchors, generator.strides, strict=True
    ):
        stride = torch.tensor(stride)
        first = (base[0, :2] + base[0, 2:]) / 2
        cell = ((middle - first) / stride).round()
        levels.append(((base + (cell * stride).repeat(2)) / scale).numpy())
    return levels


@torch.no_grad()
def _detect(model: nn.Module, item: dict, score_thr: float) -> DrawnBoxes:
    (result,) = model.test_step(pseudo_collate([item]))
    found = result.pred_instances.cpu().numpy()
    boxes = DrawnBoxes(found.bboxes, found.labels, found.scores)
    return above_threshold(boxes, score_thr)
