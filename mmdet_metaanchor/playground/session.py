"""What a page asks of a detector: the network runs once per image."""

import copy
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.models.dense_heads import RPNHead
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch import nn
from torch.utils.data import DataLoader

from ..anchors.browse.job import class_names, read_image
from ..anchors.cover import Cover, cover
from ..anchors.customize import (
    build_anchors,
    customize_anchors,
    find_head,
    restored_anchors,
)
from ..anchors.detections import collect_detections, detect_owned, suppress
from ..anchors.drawing import DrawnBoxes
from ..anchors.scorer import Scorer
from ..export.bake import bake_anchors, write_stock
from ..method.meta_head import MetaHeadMixin, Towers
from ..method.prior_generator import MetaAnchorGenerator
from ..method.shape_range import beyond, range_of_level
from ..runtime.checkpoints import load_detector
from .rows import Levels, Row
from .sources import Sources
from .truth import Truth

MOST_IMAGES = 50  # to score on
KEPT = 4  # images whose features are kept
# Detections of an image, more than any test keeps before suppression.
MOST_DETECTIONS = 10**6


class Seen(NamedTuple):
    """An image, and what the network makes of it for any anchors.

    ``image`` (H, W, 3) RGB uint8; ``towers``, as the head gives them;
    ``meta``, as the test pipeline does.
    """

    image: np.ndarray
    towers: Towers
    meta: dict


class Score(NamedTuple):
    """mAP, or recall, in [0, 1], and of how many images."""

    metric: str
    value: float
    images: int


class Session:
    """A detector with a MetaAnchor head, and images to look at.

    What depends on an image alone, the outputs of the towers, is kept for
    the last four images; other anchors cost the last layer, decoding and
    suppression. The anchors of the model itself stay as they are, so that
    threads may ask at once.

    Of a detector with two stages the proposals of the first are looked at:
    these are what its anchors make.

    Args:
        model (nn.Module): A detector with one MetaAnchor head, for
            evaluation; ``cfg`` and ``dataset_meta`` as MMDetection's
            ``init_detector`` leaves them.
        images (Sequence[str | Path]): Image files.
        ann_file (str | Path, optional): COCO JSON with their boxes.

    Raises:
        TypeError: The model has no MetaAnchor head, or several.
        FileNotFoundError: A file is not there.
        ValueError: A file is no image, or see :class:`Truth`.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Sequence[str | Path],
        ann_file: str | Path | None = None,
    ) -> None:
        self.model, self.cfg = model, model.cfg
        self.head: MetaHeadMixin = find_head(model)
        self.generator: MetaAnchorGenerator = self.head.prior_generator
        self.levels = Levels(self.generator)
        self.images = [_checked(Path(image)) for image in images]
        read_image(self.images[0])  # the one to begin with, as a whole
        self.proposes = isinstance(self.head, RPNHead)
        self.classes = ['object'] if self.proposes else class_names(model)
        self.truth = None
        if ann_file is not None:
            self.truth = Truth(ann_file, self.cfg, self.images)
        #: Where other anchors come from.
        self.sources = Sources(self.head, self.levels, self.cfg, self.truth)
        self._pipeline = Compose(get_test_pipeline_cfg(self.cfg))
        self._seen = lru_cache(maxsize=KEPT)(self._run)
        self._changing = Lock()  # the anchors of the model

    def see(self, path: Path) -> Seen:
        """Run the network on an image, if it has not been run yet.

        Raises:
            FileNotFoundError: The image is not there.
            ValueError: It is no image.
        """
        if not path.is_file():
            raise FileNotFoundError(f'image {path} does not exist')
        return self._seen(path, path.stat().st_mtime_ns)

    @torch.no_grad()
    def detect(self, path: Path, rows: Sequence[Row]) -> DrawnBoxes:
        """What a test with these anchors detects on an image.

        Args:
            path (Path): The image.
            rows (Sequence[Row]): The anchors.

        Returns:
            DrawnBoxes: In px of the image file, by falling score, with the
            index of the row of each.

        Raises:
            FileNotFoundError: The image is not there.
            ValueError: It is no image, or bad anchors.
        """
        seen = self.see(path)
        head = self._with(rows)
        owners = self.levels.owners(rows)
        (every,) = detect_owned(head, seen.towers, owners, [seen.meta])
        found = suppress(head, [every]).cpu().numpy()
        return DrawnBoxes(
            found.bboxes, found.labels, found.scores, found.owners
        )

    def build(self, rows: Sequence[Row]) -> MetaAnchorGenerator:
        """Generator of the anchors, with the centres of the trained ones."""
        return build_anchors(self.levels.anchors(rows), self.generator)

    def beyond(self, rows: Sequence[Row]) -> set[int]:
        """Indices of the rows of shapes beyond those that were trained."""
        trained = self.head.shape_range.cpu()
        codes_of_levels = self._with(rows).prior_generator.codes()
        return {
            int(owner)
            for level, (codes, owners) in enumerate(
                zip(codes_of_levels, self.levels.owners(rows), strict=True)
            )
            for owner in owners[
                beyond(codes, range_of_level(trained, level)) > 0
            ]
        }

    def cover(self, rows: Sequence[Row]) -> tuple[Cover, Counter]:
        """How the anchors cover the boxes, and how many each covers best."""
        found = cover(self.truth.part, self.build(rows))
        owners = self.levels.owners(rows)
        best = Counter(
            int(owners[level][anchor])
            for level, anchor in zip(found.level, found.anchor, strict=True)
        )
        return found, best

    def score(self, rows: Sequence[Row]) -> Score:
        """mAP, or recall of proposals, on up to 50 annotated images.

        Raises:
            ValueError: Bad anchors, no image with boxes is there, or their
                classes are not those of the detector.
        """
        if self.truth is None:
            raise ValueError('a score needs boxes: start with --ann')
        anchors = self.levels.anchors(rows)
        listed = self.truth.annotated(MOST_IMAGES)
        if not listed:
            raise ValueError('none of the annotated images is there')
        # A proposal counts for any class.
        classes = self.truth.classes if self.proposes else self.classes
        categories = self.truth.categories(classes)
        if set(categories) == {-1}:
            raise ValueError(
                f'the annotations name none of the classes of the detector, '
                f'{", ".join(classes)}'
            )
        items = [
            self._pipeline(dict(img_path=str(path), img_id=img_id))
            for path, img_id in listed
        ]
        loader = DataLoader(items, batch_size=1, collate_fn=pseudo_collate)
        with self._changing:
            found = collect_detections(
                self.model, loader, [anchors], MOST_DETECTIONS
            )
        scorer = Scorer(self.head, self.truth.coco, categories)
        value = scorer.score(scorer.merge(found))
        return Score(scorer.metric, value, len(listed))

    def bake(self, rows: Sequence[Row], out: Path) -> list[Path]:
        """Write a stock checkpoint with the anchors, and its config.

        Args:
            rows (Sequence[Row]): The anchors.
            out (Path): The checkpoint; its config lies beside it.

        Returns:
            list[Path]: Both files.

        Raises:
            ValueError: Stock cannot express it, see :func:`bake_anchors`.
        """
        anchors = self.levels.anchors(rows)
        with self._changing, restored_anchors(self.model):
            customize_anchors(self.model, anchors)
            stock_cfg, state = bake_anchors(self.model, self.cfg)
        meta = dict(dataset_meta=self.model.dataset_meta)
        return write_stock(out, stock_cfg, state, meta)

    def _with(self, rows: Sequence[Row]) -> MetaHeadMixin:
        """A shallow copy: the same parameters, and anchors of its own."""
        head = copy.copy(self.head)
        head.set_prior_generator(self.build(rows))
        return head

    @torch.no_grad()
    def _run(self, path: Path, _changed: int) -> Seen:
        image = read_image(path)
        item = self._pipeline(dict(img_path=str(path), img_id=0))
        batch = self.model.data_preprocessor(pseudo_collate([item]), False)
        feats = self.model.extract_feat(batch['inputs'])
        meta = batch['data_samples'][0].metainfo
        return Seen(image, self.head.towers(feats), meta)


def open_session(
    config: str,
    checkpoint: str,
    images: Sequence[str],
    ann_file: str | None = None,
) -> Session:
    """The session of a config and a checkpoint, a stock one included.

    Raises:
        FileNotFoundError: A file is not there.
        TypeError: The config has no MetaAnchor head.
        ValueError: The checkpoint is of another model, or see
            :class:`Session`.
    """
    cfg = Config.fromfile(config)
    model, meta = load_detector(cfg, checkpoint)
    model.cfg, model.dataset_meta = cfg, meta['dataset_meta']
    return Session(model.to(get_device()), images, ann_file)


def _checked(path: Path) -> Path:
    """A file that begins as an image does; all of it is read when shown."""
    if not path.is_file():
        raise FileNotFoundError(f'image {path} does not exist')
    if not cv2.haveImageReader(str(path)):
        raise ValueError(f'{path} is not an image to be read')
    return path
