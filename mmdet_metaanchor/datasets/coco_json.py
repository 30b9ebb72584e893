"""Reading COCO JSON files, and what in them no detector can learn."""

import json
import logging
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

# Kinds of faults, as the log names them.
UNKNOWN_IMAGE = 'annotations of an image that the file does not list'
UNKNOWN_CATEGORY = 'annotations of a category that the file does not list'
NOT_FINITE = 'boxes that are not four finite numbers'
NO_SIZE = 'boxes without a positive width and height'
OUTSIDE = 'boxes outside of their image'
NO_AREA = 'boxes whose area is not positive'
SMALL = 'boxes below one px'
REPEATED = 'annotations that repeat another, box and all'
# These two are of no matter to training.
INCOMPLETE = 'annotations without area or iscrowd, which CocoMetric needs'
ID_ZERO = "annotations of id 0, which COCO's evaluation never counts as found"

# Targets are float32, in which larger numbers are infinite.
MAX_NUMBER = float(np.finfo(np.float32).max)
MAX_NAMED = 5


def _is_id(value) -> bool:
    return isinstance(value, (int, float, str)) and value == value


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= MAX_NUMBER


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_any(_) -> bool:
    return True


# What every entry has to hold. What an annotation is of is looked at later.
KEYS = dict(
    images=dict(
        id=_is_id, file_name=_is_text, width=_is_number, height=_is_number
    ),
    categories=dict(id=_is_id, name=_is_text),
    annotations=dict(
        id=_is_id, image_id=_is_any, category_id=_is_any, bbox=_is_any
    ),
)


def read_coco(
    path: str | Path,
    name: str | Path | None = None,
    needed: Sequence[str] = tuple(KEYS),
) -> dict:
    """Read a COCO JSON that has all keys and no id twice.

    Args:
        path (str | Path): The file.
        name (str | Path, optional): How errors name it. Defaults to ``path``.
        needed (Sequence[str]): Lists that it must hold; of COCO's own files
            those of test images have no annotations. Defaults to all.

    Returns:
        dict: Lists of ``images``, ``categories`` and ``annotations``.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It is not JSON or not of COCO, an entry lacks a key, or an
            id repeats, by which images or classes would be mixed up.
    """
    name = path if name is None else name
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    # Bytes that are no text raise a ValueError, too.
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name} is not JSON: {error}') from None
    if not isinstance(content, dict):
        raise ValueError(
            f'{name} is not a COCO JSON, but a {type(content).__name__}'
        )
    for kind, keys in KEYS.items():
        if kind not in needed:
            content.setdefault(kind, [])
        entries = content.get(kind)
        if not isinstance(entries, list):
            raise ValueError(
                f'{name} is not a COCO JSON: it holds no list of {kind}'
            )
        for key, is_right in keys.items():
            _check_key(name, kind, entries, key, is_right)
        counts = Counter(entry['id'] for entry in entries)
        repeated = [value for value, count in counts.items() if count > 1]
        if repeated:
            raise ValueError(
                f'{name}: ids of its {kind} repeat: {named(repeated)}'
            )
    return content


def _check_key(name, kind, entries, key, is_right) -> None:
    wrong = [
        place
        for place, entry in enumerate(entries)
        if not isinstance(entry, dict)
        or key not in entry
        or not is_right(entry[key])
    ]
    if wrong:
        raise ValueError(
            f'{name}: {len(wrong)} of {len(entries)} {kind} have no usable '
            f'{key!r}, at places {named(wrong)} of their list, from 0'
        )


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
        if kind is None and evaluated:
            kind = _fault_of_evaluation(annotation)
        if kind is not None:
            faults.setdefault(kind, []).append(annotation['id'])
    return faults


def _fault(
    annotation: dict, images: dict, categories: Container, seen: dict
) -> str | None:
    image_id, category_id = annotation['image_id'], annotation['category_id']
    image = images.get(image_id) if _is_id(image_id) else None
    if image is None:
        return UNKNOWN_IMAGE
    if not _is_id(category_id) or category_id not in categories:
        return UNKNOWN_CATEGORY
    box = annotation['bbox']
    if not (
        isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    ):
        return NOT_FINITE
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return NO_SIZE
    if min(x + width, image['width']) <= max(x, 0) or min(
        y + height, image['height']
    ) <= max(y, 0):
        return OUTSIDE
    area = annotation.get('area', width * height)
    if not (_is_number(area) and area > 0):
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
    if 'area' not in annotation or 'iscrowd' not in annotation:
        return INCOMPLETE
    return ID_ZERO if annotation['id'] == 0 else None


def leave_out(
    content: dict,
    faults: dict[str, list],
    name: str | Path,
    kept: Container[str] = (),
) -> None:
    """Take annotations out of ``content``, with a warning per kind.

    Args:
        content (dict): What :func:`read_coco` gives; its list of annotations
            is replaced.
        faults (dict[str, list]): What :func:`find_faults` gives.
        name (str | Path): How warnings name the file.
        kept (Container[str]): Kinds to warn of only. Defaults to none.
    """
    out = set()
    for kind, ids in faults.items():
        if kind not in kept:
            out.update(ids)
        print_log(
            f'{name}: {told(kind, ids, content)}: '
            f'{"kept" if kind in kept else "left out"}',
            logger='current',
            level=logging.WARNING,
        )
    content['annotations'] = [
        annotation
        for annotation in content['annotations']
        if annotation['id'] not in out
    ]


def told(kind: str, ids: Sequence, content: dict) -> str:
    """A kind of fault, with the number and the first ids."""
    total = len(content['annotations'])
    return f'{kind}: {len(ids)} of {total} (ids {named(ids)})'


def named(values: Sequence) -> str:
    """The first few of them, and how many more there are."""
    more = len(values) - MAX_NAMED
    text = ', '.join(map(str, values[:MAX_NAMED]))
    return f'{text} and {more} more' if more > 0 else text
