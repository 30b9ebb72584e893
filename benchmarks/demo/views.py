"""What a model makes of a few images: detections, and where anchors lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import mmcv
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import nn
from torch.utils.data import Dataset

from mmdet_metaanchor.anchors.browse.views import cell_anchors
from mmdet_metaanchor.anchors.drawing import DrawnBoxes


class Sample(NamedTuple):
    """An image of the val set with its truth."""

    name: str
    image: np.ndarray  # (H, W, 3) RGB uint8
    truth: DrawnBoxes
    classes: Sequence[str]


class View(NamedTuple):
    """What a model with certain anchors makes of the samples."""

    per_cell: int  # anchors per cell of the lowest level
    detections: list[DrawnBoxes]  # one a sample
    anchors: np.ndarray  # (A, 4) corners of some of them, see read_view


def read_samples(dataset: Dataset, batch: Sequence[dict]) -> list[Sample]:
    """Images and truth of a batch.

    Args:
        dataset (Dataset): MMDetection's data set.
        batch (Sequence[dict]): Items of it.
    """
    samples = []
    for item in batch:
        data = item['data_samples']
        truth = data.gt_instances
        samples.append(
            Sample(
                Path(data.img_path).name,
                mmcv.imread(data.img_path, channel_order='rgb'),
                DrawnBoxes(truth.bboxes.numpy(), truth.labels.numpy()),
                dataset.metainfo['classes'],
            )
        )
    return samples


def read_view(model: nn.Module, batch: Sequence[dict]) -> View:
    """Detections of a model, and its anchors around one point.

    Args:
        model (nn.Module): Detector in evaluation mode.
        batch (Sequence[dict]): Items of a data set.

    Returns:
        View: Its anchors are those of the middle level in the cell that is
        nearest to the centre of the first image.
    """
    with torch.no_grad():
        results = model.test_step(pseudo_collate(batch))
    detections = []
    for result in results:
        found = result.pred_instances.cpu().numpy()
        detections.append(DrawnBoxes(found.bboxes, found.labels, found.scores))
    data = batch[0]['data_samples']
    priors = model.bbox_head.prior_generator
    levels = cell_anchors(priors, data.img_shape, data.scale_factor)
    middle = levels[priors.num_levels // 2]
    return View(priors.num_base_priors[0], detections, middle)
