"""What in the annotations of a COCO JSON no detector can learn."""

import logging
from collections.abc import Container, Sequence
from pathlib import Path

from mmengine.logging import print_log

from .coco_json import is_id, is_number, named

# Kinds of faults, as the log names them.
UNKNOWN_IMAGE = 'annotations of an image that the file does not list'
UNKNOWN_CATEGORY = 'annotations of a category that the file does not list'
NOT_FINITE = 'boxes that are not four finite numbers'
NO_SIZE = 'boxes without a positive width and height'
OUTSIDE = 'boxes outside of their image'
NO_AREA = 'boxes whose area is not positive'
SMALL = 'boxes below one px'
REPEATED = 'annotations that repeat another, box and all'
# These two are of no matter to training; CocoMetric ends without the former.
INCOMPLETE = 'annotations without area, iscrowd or a number as id'
ID_ZERO = "annotations of id 0, which COCO's evaluation never counts as found"
# What an evaluation counts as COCO defines it.
TOLERATED = (SMALL, REPEATED, ID_ZERO)


def find_faults(content: dict, evaluated: bool = False) -> dict[str, list]:
    """What in the annotations no detector can learn.

    A box is at fault if it is not finite, has no positive size, or lies
    outside of its image. One that reaches over the border is none: pipelines
    clip it. MMDetection leaves out boxes whose width or height is below one
    px, or whose area is not positive, without a word.

    Args:
        content (dict): What :func:`read_coco` gives.
        evaluated (bool): Whether detections are compared to it: looks for
            what only COCO's evaluation needs, too. Defaults to False.

    Returns:
        dict[str, list]: Ids of the annotations of each kind of fault, in the
        order of the file; of several faults the first counts.
    """
    images = {image['id']: image for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    faults, seen = {}, {}
    for annotation in content['annotations']:
        kind = _fault(annotation, images, categories, seen)
        if evaluated and kind in (None, *TOLERATED):
            kind = _fault_of_evaluation(annotation) or kind
        if kind is not None:
            faults.setdefault(kind, []).append(annotation['id'])
    return faults


def _fault(
    annotation: dict, images: dict, categories: Container, seen: dict
) -> str | None:
    image_id, category_id = annotation['image_id'], annotation['category_id']
    image = images.get(image_id) if is_id(image_id) else None
    if image is None:
        return UNKNOWN_IMAGE
    if not is_id(category_id) or category_id not in categories:
        return UNKNOWN_CATEGORY
    box = annotation['bbox']
    if not isinstance(box, list) or len(box) != 4:
        return NOT_FINITE
    if not all(map(is_number, box)):
        return NOT_FINITE
    x, y, width, height = box
    if not (is_number(x + width) and is_number(y + height)):
        return NOT_FINITE
    if width <= 0 or height <= 0:
        return NO_SIZE
    if min(x + width, image['width']) <= max(x, 0) or min(
        y + height, image['height']
    ) <= max(y, 0):
        return OUTSIDE
    area = annotation.get('area', width * height)
    if not (is_number(area) and area > 0):
        return NO_AREA
    if width < 1 or height < 1:
        return SMALL
    flags = [bool(annotation.get(key)) for key in ('iscrowd', 'ignore')]
    first = seen.setdefault((image_id, category_id, *box, *flags), annotation)
    # Two objects may have one box, and be told apart by their masks.
    if first is not annotation and first.get('segmentation') == annotation.get(
        'segmentation'
    ):
        return REPEATED
    return None


def _fault_of_evaluation(annotation: dict) -> str | None:
    if not {'area', 'iscrowd'} <= annotation.keys() or isinstance(
        annotation['id'], str
    ):
        return INCOMPLETE
    return ID_ZERO if annotation['id'] == 0 else None


def take_out(
    content: dict, faults: dict[str, list], kept: Container[str] = ()
) -> None:
    """Take annotations out of ``content``, and complete the others.

    Those without an area get that of their box, those without ``iscrowd`` are
    none.

    Args:
        content (dict): What :func:`read_coco` gives; its list of annotations
            is replaced.
        faults (dict[str, list]): What :func:`find_faults` gives.
        kept (Container[str]): Kinds to leave in. Defaults to none.
    """
    out = {
        value
        for kind, ids in faults.items()
        if kind not in kept
        for value in ids
    }
    content['annotations'] = [
        dict(
            annotation,
            area=annotation.get('area', _area(annotation['bbox'])),
            iscrowd=annotation.get('iscrowd', 0),
        )
        for annotation in content['annotations']
        if annotation['id'] not in out
    ]


def _area(box: Sequence[float]) -> float:
    _, _, width, height = box
    return width * height


def warn_of(
    content: dict,
    faults: dict[str, list],
    name: str | Path,
    kept: Container[str] = (),
) -> None:
    """A warning per kind of fault.

    Args:
        content (dict): As it was read.
        faults (dict[str, list]): What :func:`find_faults` gives.
        name (str | Path): How warnings name the file.
        kept (Container[str]): Kinds that are left in. Defaults to none.
    """
    for kind, ids in faults.items():
        end = 'kept' if kind in kept else 'left out'
        print_log(
            f'{name}: {summarise_fault(kind, ids, content)}: {end}',
            logger='current',
            level=logging.WARNING,
        )


def summarise_fault(kind: str, ids: Sequence, content: dict) -> str:
    """A kind of fault, with the number and the first ids."""
    total = len(content['annotations'])
    return f'{kind}: {len(ids)} of {total} (ids {named(ids)})'
