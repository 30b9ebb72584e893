"""Annotated boxes of the images of a page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..anchors.boxes import Boxes, read_boxes, read_detector_boxes
from ..anchors.drawing import DrawnBoxes
from ..anchors.scorer import read_truth

# Of a data set, to see how anchors cover it; more would make a page slow.
MOST_BOXES = 5000


class Truth:
    """The boxes of a COCO JSON, and where its images are.

    Their folder is that of the given images: what is left of the name of one
    without its ``file_name`` in the JSON.

    Args:
        ann_file (str | Path): The JSON file.
        cfg (Config): Config of the detector.
        images (Sequence[Path]): Image files, of which it has to list one.

    Raises:
        FileNotFoundError: The JSON file is not there.
        ValueError: It is no COCO JSON, holds no boxes of the classes of the
            detector, or lists none of the images.
    """

    def __init__(
        self, ann_file: str | Path, cfg: Config, images: Sequence[Path]
    ) -> None:
        resized = read_detector_boxes(cfg, ann_file)
        #: Boxes as the detector sees them, all, and at most 5000 of them.
        self.boxes, self.part = resized, _part(resized)
        self._in_file = read_boxes(ann_file, (), resized.classes)
        self.classes = resized.classes
        self.coco = read_truth(str(ann_file))
        self.ids = {
            image['file_name']: key for key, image in self.coco.imgs.items()
        }
        self._names, self._root = self._find(images)
        if self._root is None:
            raise ValueError(
                f'{ann_file} lists none of the images, as {images[0]}'
            )

    def of(self, path: Path) -> DrawnBoxes | None:
        """Boxes in px of an image file; None where it is not listed."""
        name = self._names.get(path)
        if name is None:
            return None
        mine = np.array([file == name for file in self._in_file.files])
        return DrawnBoxes(
            self._in_file.boxes[mine], self._in_file.labels[mine]
        )

    def annotated(self, most: int) -> list[tuple[Path, int]]:
        """Files and ids of the first images that have boxes and are there."""
        found = []
        for name in dict.fromkeys(self.boxes.files):
            path = self._root / name
            if path.is_file():
                found.append((path, self.ids[name]))
            if len(found) == most:
                break
        return found

    def categories(self, classes: Sequence[str]) -> list[int]:
        """Ids of the categories of every label, -1 where there is none."""
        ids = {c['name']: key for key, c in self.coco.cats.items()}
        return [ids.get(name, -1) for name in classes]

    def _find(
        self, images: Sequence[Path]
    ) -> tuple[dict[Path, str], Path | None]:
        """The ``file_name`` of every image that has one, and the folder."""
        by_tail = {}
        for name in self.ids:
            by_tail.setdefault(Path(name).name, []).append(name)
        names, root = {}, None
        for path in images:
            parts = path.absolute().parts
            for name in by_tail.get(path.name, []):
                tail = Path(name).parts
                if parts[-len(tail) :] == tail:
                    names[path] = name
                    root = root or Path(*parts[: -len(tail)])
        return names, root


def _part(boxes: Boxes) -> Boxes:
    """As many boxes, drawn at random, as a page has time for."""
    number = len(boxes.boxes)
    if number <= MOST_BOXES:
        return boxes
    drawn = np.random.default_rng(0).choice(number, MOST_BOXES, replace=False)
    return Boxes(
        *(column[drawn] for column in boxes[:4]),
        [boxes.files[index] for index in drawn],
        boxes.classes,
    )
