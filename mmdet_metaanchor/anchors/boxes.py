"""The boxes of a data set, at the size at which a detector sees them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from ..datasets.coco_faults import (
    UNKNOWN_CATEGORY,
    UNKNOWN_IMAGE,
    find_faults,
    summarise_fault,
    take_out,
    warn_of,
)
from ..datasets.coco_json import read_coco
from ..runtime.config_types import read_metainfo, unwrapped

# Steps of a pipeline that read or pack, and leave sizes as they are.
NEUTRAL = ('Load', 'Pack')


class Boxes(NamedTuple):
    """Boxes of all images, one row each.

    ``boxes`` (n, 4), ``(x1, y1, x2, y2)`` in px of the resized image;
    ``image_sizes`` (n, 2), ``(width, height)`` of that image in px;
    ``areas`` (n,), COCO's, in px of the original image, by which it tells
    small, medium and large; ``labels`` (n,), indices of ``classes``;
    ``files``, names of the images.
    """

    boxes: np.ndarray
    image_sizes: np.ndarray
    areas: np.ndarray
    labels: np.ndarray
    files: list[str]
    classes: list[str]

    @property
    def sizes(self) -> np.ndarray:
        """ndarray: (n, 2) sizes (w, h) in px of the resized image."""
        return self.boxes[:, 2:] - self.boxes[:, :2]


def read_boxes(
    ann_file: str | Path,
    pipeline: Sequence[dict] = (),
    classes: Sequence[str] | None = None,
) -> Boxes:
    """Read a COCO JSON as :class:`.CheckedCocoDataset` does for training.

    Crowds and boxes of other classes are left out, and, with a warning, boxes
    that no detector can learn.

    Args:
        ann_file (str | Path): The JSON file. Images are not needed.
        pipeline (Sequence[dict]): Steps of a test pipeline, which resizes.
        classes (Sequence[str], optional): Names of the classes of a
            detector, ``metainfo.classes`` of a config. Defaults to all.

    Returns:
        Boxes: What the pipeline makes of the boxes.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It is not COCO JSON, an annotation is of an image or of a
            category that it does not list, or it holds no boxes.
    """
    content = read_coco(ann_file)
    images = {image['id']: image for image in content['images']}
    names = {c['id']: c['name'] for c in content['categories']}
    classes = list(names.values() if classes is None else classes)
    faults = find_faults(content)
    for kind in (UNKNOWN_IMAGE, UNKNOWN_CATEGORY):
        if kind in faults:
            raise ValueError(
                f'{ann_file} has '
                f'{summarise_fault(kind, faults[kind], content)}'
            )
    warn_of(content, faults, ann_file)
    take_out(content, faults)
    used = [images[a['image_id']] for a in content['annotations']]
    steps = build_steps(pipeline)
    resized = {
        size: resize(steps, *size)
        for size in {(image['width'], image['height']) for image in used}
    }
    rows = []
    for annotation in content['annotations']:
        image = images[annotation['image_id']]
        name = names[annotation['category_id']]
        if annotation['iscrowd'] or annotation.get('ignore'):
            continue
        if name not in classes:
            continue
        x, y, width, height = annotation['bbox']
        box = [x, y, x + width, y + height]
        original = image['width'], image['height']
        size, scale = resized[original]
        rows.append(
            (
                resize_boxes(steps, box, original, scale),
                size,
                # COCO's: of the segmentation, where there is one.
                annotation['area'],
                classes.index(name),
                image['file_name'],
            )
        )
    if not rows:
        raise ValueError(
            f'{ann_file} holds no boxes of the classes {", ".join(classes)}'
        )
    boxes, sizes, areas, indices, files = zip(*rows, strict=True)
    return Boxes(
        *(np.array(column, dtype=float) for column in (boxes, sizes, areas)),
        np.array(indices),
        list(files),
        classes,
    )


def read_detector_boxes(cfg: Config, ann_file: str | Path) -> Boxes:
    """:func:`read_boxes`, as a detector's config resizes and names them.

    Args:
        cfg (Config): Config of the detector; of its test data set.
        ann_file (str | Path): The JSON file, which may be any.

    Raises:
        ValueError: As of :func:`read_boxes`, or the config has no test data
            set, or one without a pipeline.
    """
    if not cfg.get('test_dataloader'):
        raise ValueError(
            'the config has no test_dataloader, whose pipeline would say how '
            'images are resized'
        )
    dataset = unwrapped(cfg.test_dataloader.dataset)
    if 'pipeline' not in dataset:
        raise ValueError(
            f'test_dataloader.dataset is a {dataset.type} without a pipeline, '
            'which would say how images are resized'
        )
    classes = read_metainfo(cfg).get('classes')
    return read_boxes(ann_file, dataset.pipeline, classes)


def _class_name(kind: str | type) -> str:
    """Of a step, which a config in Python style names by its class."""
    name = kind if isinstance(kind, str) else kind.__name__
    return name.rpartition('.')[2]


def build_steps(pipeline: Sequence[dict]) -> list[Callable]:
    """The steps of a pipeline that may change sizes."""
    return [
        TRANSFORMS.build(step)
        for step in pipeline
        if not _class_name(step['type']).startswith(NEUTRAL)
    ]


def resize(
    steps: Sequence[Callable], width: float, height: float
) -> tuple[tuple[int, int], tuple[float, float]]:
    """(width, height) in px that steps make of an image, and its scale."""
    width, height = int(width), int(height)  # a JSON may have 640.0
    results = Compose(steps)(
        dict(
            img=np.zeros((height, width, 3), np.uint8),
            img_shape=(height, width),
            ori_shape=(height, width),
        )
    )
    scale = results.get('scale_factor', (1.0, 1.0))
    return results['img_shape'][1::-1], tuple(scale)


def resize_boxes(
    steps: Sequence[Callable],
    boxes: np.ndarray | Sequence,
    size: tuple[float, float],
    scale: tuple[float, float],
) -> np.ndarray:
    """Boxes as the steps of a pipeline make them, cut at the border if so.

    Args:
        steps (Sequence[Callable]): The steps that resize. MMDetection's cut
            boxes, unless they are told not to by ``clip_object_border``.
        boxes (ndarray | Sequence): (..., 4), ``(x1, y1, x2, y2)`` in px.
        size (tuple[float, float]): (width, height) in px of the image.
        scale (tuple[float, float]): By which both are multiplied.
    """
    if any(getattr(step, 'clip_object_border', False) for step in steps):
        boxes = np.clip(boxes, 0, [*size, *size])
    return np.multiply(boxes, [*scale, *scale])
