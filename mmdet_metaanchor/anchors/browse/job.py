"""From a model and image files to the pictures of its anchors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmcv.transforms import Compose
from mmdet.models import RPN
from mmdet.utils import get_test_pipeline_cfg
from torch import nn
from tqdm import tqdm

from ..customize import Anchors, find_heads
from .pictures import draw_cell, draw_each, draw_sets
from .views import view_each, view_set

TRAINED = 'as trained'


def browse_anchors(
    model: nn.Module,
    images: Sequence[str | Path],
    out_dir: str | Path,
    sets: Mapping[str, Anchors] | None = None,
    score_thr: float = 0.3,
) -> list[Path]:
    """Draw what anchors do on images, in three PNG files per image.

    ``cell_<image>.png`` has the anchors of one cell over the image, a panel
    per level; ``each_<image>.png`` what each anchor detects alone, at most 25
    of a set, see :func:`~.views.spread_anchors`; ``sets_<image>.png`` what
    the sets detect, after what the anchors of the model do, which are taken
    for those of its training. Bad input is refused before anything is
    written, and the model keeps its anchors.

    Args:
        model (nn.Module): A detector with a MetaAnchor head, for evaluation,
            as ``mmdet.apis.init_detector`` makes it: ``cfg`` has the test
            pipeline, ``dataset_meta`` the classes.
        images (Sequence[str | Path]): Image files of different names.
        out_dir (str | Path): Folder for the pictures.
        sets (dict[str, dict | list], optional): Anchors, as for
            :func:`customize_anchors`, by the name to show. Those that the
            model has where not given.
        score_thr (float): Detections are shown whose score is above it.

    Returns:
        list[Path]: The files.

    Raises:
        TypeError: The model has no MetaAnchor head.
        FileNotFoundError: An image is not there.
        ValueError: A file is no image, two images have one name, bad
            anchors, or ``score_thr`` is not in [0, 1).
    """
    if not 0 <= score_thr < 1:
        raise ValueError(f'score_thr must be in [0, 1), got {score_thr}')
    find_heads(model)
    _check_images(images)
    shown = sets or {TRAINED: None}
    classes = class_names(model)
    pipeline = Compose(get_test_pipeline_cfg(model.cfg))
    out_dir = Path(out_dir)
    written = []
    for path in tqdm(images, 'images', unit='image'):
        item = pipeline(dict(img_path=str(path), img_id=0))
        views = {
            name: view_set(model, item, anchors, score_thr)
            for name, anchors in {TRAINED: None, **shown}.items()
        }
        alone = {
            name: view_each(model, item, anchors, score_thr)
            for name, anchors in shown.items()
        }
        image = read_image(path)
        cells = {name: views[name] for name in shown}
        out_dir.mkdir(parents=True, exist_ok=True)
        files = [
            out_dir / f'{kind}_{Path(path).stem}.png'
            for kind in ('cell', 'each', 'sets')
        ]
        draw_cell(files[0], image, cells)
        draw_each(files[1], image, alone, cells, classes)
        draw_sets(files[2], image, views, classes)
        written += files
    return written


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) RGB uint8.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is not an image that can be read.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'image {path} does not exist')
    try:
        return mmcv.imread(path, channel_order='rgb')
    except cv2.error:  # MMCV does not look at what OpenCV has decoded
        raise ValueError(f'{path} is not an image to be read') from None


def _check_images(paths: Sequence[str | Path]) -> None:
    names = {}
    for path in paths:
        read_image(path)
        stem = Path(path).stem
        if stem in names:
            raise ValueError(
                f'{names[stem]} and {path} would share their pictures; give '
                'images of different names'
            )
        names[stem] = path


def class_names(model: nn.Module) -> Sequence[str]:
    """The classes of a model, by number where its checkpoint lacks them."""
    if isinstance(model, RPN):
        return ['object']  # of no class
    meta = getattr(model, 'dataset_meta', None) or {}
    classes = meta.get('classes')
    if classes is None:
        # Of two stages, the first has none.
        heads = [
            part for part in model.modules() if 'num_classes' in vars(part)
        ]
        number = max(head.num_classes for head in heads)
        classes = [f'class {label}' for label in range(number)]
    return classes
