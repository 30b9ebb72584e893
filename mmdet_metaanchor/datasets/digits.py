"""The embedded data set: real handwritten digits on photograph-like canvases.

Made from the 1 797 digits of 8x8 px that scikit-learn ships, so that a
detector can be trained and evaluated with nothing to download.
"""

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .canvas import draw_image

CLASSES = tuple('0123456789')
SPLITS = ('train', 'val')
# The settings that the drawing of an image depends on, beside its seed.
DRAWING = ('image_size', 'size_range', 'ratio_range', 'objects')
# Part of the settings of a set: raise it when the pictures change, so that
# a set made by older code is not taken for a new one.
VERSION = 1


def make_digits(
    out_dir: str | Path,
    num_train: int = 400,
    num_val: int = 100,
    image_size: Sequence[int] = (320, 240),
    size_range: Sequence[float] = (12.0, 160.0),
    ratio_range: Sequence[float] = (1 / 3, 3.0),
    objects: Sequence[int] = (4, 16),
    seed: int = 0,
) -> Path:
    """Write a detection data set of handwritten digits in COCO format.

    ``out_dir`` receives ``train.json``, ``val.json`` and ``images/``. Boxes
    are tight around the ink. Their size and their ratio, height / width, are
    log-uniform in the ranges below; the ratio of a large box, in the part of
    its range that fits the image (:func:`draw_image` has the equation).

    The same arguments give the same bytes (on one machine and one OpenCV),
    and image k of a split depends on neither number of images: a larger
    number only appends. A fifth of the source digits of each class is kept
    for val; train never shows them.

    Args:
        out_dir (str or Path): Where to write. Missing parents are made.
        num_train (int): Number of training images.
        num_val (int): Number of validation images.
        image_size (tuple[int, int]): (width, height) of the images, px.
        size_range (tuple[float, float]): Least and greatest size, the square
            root of the area of the box, px.
        ratio_range (tuple[float, float]): Least and greatest height / width.
        objects (tuple[int, int]): Least and greatest number of digits drawn
            for an image. Large ones are placed first and one that finds no
            room is left out, so an image may hold fewer, but never none.
        seed (int): Seed of everything random, not negative.

    Returns:
        Path: ``out_dir``, resolved. If it already holds a set with the same
        settings, that set is kept as it is.

    Raises:
        ValueError: For a bad value; the message holds it.
        FileExistsError: If ``out_dir`` holds anything else. Nothing that is
            there is ever changed or removed.
        ModuleNotFoundError: scikit-learn is not installed.
    """
    settings = dict(
        version=VERSION,
        num_train=_numbers('num_train', num_train, 1)[0],
        num_val=_numbers('num_val', num_val, 1)[0],
        image_size=_numbers('image_size', image_size, 16, 'width, height'),
        size_range=_numbers('size_range', size_range, 0, 'least, greatest'),
        ratio_range=_numbers('ratio_range', ratio_range, 0, 'least, greatest'),
        objects=_numbers('objects', objects, 1, 'least, greatest'),
        seed=_numbers('seed', seed, 0)[0],
    )
    _check_fit(**{name: settings[name] for name in DRAWING[:3]})
    out_dir = Path(out_dir).resolve()
    if _holds(out_dir, settings):
        return out_dir
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and moved there at the end: a run that is
    # interrupted leaves no half of a set behind.
    with tempfile.TemporaryDirectory(
        prefix=f'.{out_dir.name}-', dir=out_dir.parent
    ) as parent:
        part = Path(parent) / out_dir.name
        (part / 'images').mkdir(parents=True)
        for split in SPLITS:
            _write_split(part, split, settings)
        try:
            part.rename(out_dir)
        except OSError:
            # Another process may have made the same set meanwhile.
            if not _holds(out_dir, settings):
                raise
    return out_dir


def split_sources(target: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Share the source digits out to train and val.

    Args:
        target (ndarray): (N,) class of each source digit, 0 to 9.
        seed (int): Seed of the shuffle.

    Returns:
        dict[str, ndarray]: Indices of source digits per split, disjoint, a
        fifth of each class for val.
    """
    rng = np.random.default_rng([seed, len(SPLITS)])
    shares = dict(train=[], val=[])
    for digit in range(len(CLASSES)):
        indices = rng.permutation(np.flatnonzero(target == digit))
        val, train = np.split(indices, [len(indices) // 5])
        shares['val'].append(val)
        shares['train'].append(train)
    return {split: np.concatenate(part) for split, part in shares.items()}


def _load_digits():
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}: the digits are scikit-learn's; pip install scikit-learn"
        ) from None
    return load_digits()


def _write_split(part, split, settings):
    """Write the images and the COCO file of one split."""
    digits = _load_digits()
    sources = split_sources(digits.target, settings['seed'])[split]
    options = {name: settings[name] for name in DRAWING}
    width, height = settings['image_size']
    images, annotations = [], []
    number = settings[f'num_{split}']
    bar = tqdm(range(number), f'digits, {split}', unit='image', disable=None)
    for k in bar:
        # A stream of its own for each image, whatever comes before it.
        rng = np.random.default_rng([settings['seed'], SPLITS.index(split), k])
        picture, pasted = draw_image(rng, digits.images[sources], **options)
        name = f'{split}_{k:06d}.jpg'
        path = part / 'images' / name
        _, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
        path.write_bytes(data.tobytes())
        images.append(
            dict(id=k + 1, file_name=name, width=width, height=height)
        )
        for index, box, _ in pasted:
            source = int(sources[index])
            annotation = dict(id=len(annotations) + 1, image_id=k + 1)
            annotation['category_id'] = int(digits.target[source]) + 1
            annotation.update(bbox=list(box), area=box[2] * box[3])
            annotation.update(iscrowd=0, source=source)
            annotations.append(annotation)
    content = dict(
        info=dict(
            description='Handwritten digits (scikit-learn load_digits) on '
            'synthetic canvases; "source" is the index of the digit',
            settings=settings,
        ),
        images=images,
        annotations=annotations,
        categories=[dict(id=i + 1, name=c) for i, c in enumerate(CLASSES)],
    )
    (part / f'{split}.json').write_text(json.dumps(content))


def _numbers(name, value, least, pair=None):
    """Check an argument of `make_digits`; return a list, as JSON holds it."""
    real = name in ('size_range', 'ratio_range')
    found = np.atleast_1d(value)
    if not (
        found.shape == (2 if pair else 1,)
        and found.dtype.kind in ('iuf' if real else 'iu')
        and np.isfinite(found).all()
        and (found > 0 if real else found >= least).all()
        and (pair != 'least, greatest' or found[0] <= found[1])
    ):
        wish = 'finite and above 0' if real else f'whole, {least} or more'
        wish = f'({pair}), each {wish}' if pair else wish
        raise ValueError(f'{name} must be {wish}; got {value!r}')
    return (found.astype(float) if real else found).tolist()


def _check_fit(image_size, size_range, ratio_range):
    """Refuse sizes of which no box with a ratio in the range fits."""
    width, height = image_size
    limit = min(
        math.sqrt(width * height),
        width * math.sqrt(ratio_range[1]),
        height / math.sqrt(ratio_range[0]),
    )
    if size_range[1] > limit:
        raise ValueError(
            f'size_range must end at {limit:.6g} px or below, the largest '
            f'box of a ratio in {ratio_range} in an image of {width}x{height} '
            f'px; got {size_range}'
        )


def _holds(out_dir, settings):
    """Whether ``out_dir`` holds this very set; not if it is empty.

    Raises:
        FileExistsError: If it holds anything else.
    """
    if not out_dir.exists() or out_dir.is_dir() and not any(out_dir.iterdir()):
        return False
    advice = 'choose another folder, or move this one away'
    for split in SPLITS:
        try:
            content = json.loads((out_dir / f'{split}.json').read_text())
            found = dict(content['info']['settings'])
            names = [image['file_name'] for image in content['images']]
        except (OSError, ValueError, KeyError, TypeError):
            raise FileExistsError(
                f'{out_dir} exists and is no set of digits: {advice}'
            ) from None
        differing = [
            f'{key} is {found.get(key)}, not {settings.get(key)}'
            for key in sorted({*found, *settings})
            if found.get(key) != settings.get(key)
        ]
        if differing:
            raise FileExistsError(
                f'{out_dir} holds a set of digits with other settings '
                f'({"; ".join(differing)}): {advice}'
            )
        lost = [n for n in names if not (out_dir / 'images' / n).is_file()]
        if lost:
            raise FileExistsError(
                f'{out_dir} lacks {len(lost)} of its images, the first '
                f'images/{lost[0]}: {advice}'
            )
    return True
