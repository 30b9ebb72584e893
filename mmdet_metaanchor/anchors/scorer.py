"""mAP, or recall, of detections that are kept apart by set of anchors."""

from collections.abc import Sequence
from contextlib import redirect_stdout

from mmdet.models.dense_heads import RPNHead
from mmengine.structures import InstanceData
from torch import nn

from ..datasets.coco_faults import find_faults, take_out
from ..datasets.coco_json import read_coco
from .detections import suppress

try:
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster as COCOeval
except ModuleNotFoundError:  # the same numbers, at a quarter of the speed
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

PROPOSALS = 100  # of an image, the first of MMDetection's numbers


def read_truth(ann_file: str) -> COCO:
    """Ground truth to score by, without boxes that no detector can learn.

    Args:
        ann_file (str): A COCO JSON. The data set that is made of it tells of
            them.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It is not a COCO JSON with boxes.
    """
    with redirect_stdout(None):  # COCO prints how long it takes
        coco = COCO()
        coco.dataset = read_coco(ann_file)
        take_out(coco.dataset, find_faults(coco.dataset))
        coco.createIndex()
    return coco


class Scorer:
    """Scores merged detections on the images that were collected.

    Detections are scored by mAP, and the proposals of an RPN, which have no
    class, by the average recall at 100 of an image.

    Args:
        head (nn.Module): The head, for its own suppression.
        coco (COCO): The ground truth.
        cat_ids (Sequence[int]): Category of every label.
    """

    def __init__(
        self, head: nn.Module, coco: COCO, cat_ids: Sequence[int]
    ) -> None:
        self.head = head
        self.coco = coco
        self.cat_ids = list(cat_ids)

    def check(self, images: Sequence[int]) -> None:
        """Refuse images that no score can be had of.

        Args:
            images (Sequence[int]): Their ids.

        Raises:
            ValueError: None of them holds a box to find.
        """
        if images and not self.coco.getAnnIds(
            imgIds=images, catIds=self.cat_ids, iscrowd=False
        ):
            raise ValueError(
                f'none of the {len(images)} images that were drawn holds a '
                'box, so that nothing can be scored; draw more of them'
            )

    def merge(
        self, sets: Sequence[Sequence[InstanceData]]
    ) -> list[InstanceData]:
        """Detections of several sets together, after suppression.

        Args:
            sets (Sequence[Sequence[InstanceData]]): ``[set][image]``.

        Returns:
            list[InstanceData]: ``[image]``: what a test with all the anchors
            detects, ``nms_pre`` included, as long as ``most`` has cut nothing
            off. It has the fields of the sets, and can be merged again.
        """
        return [
            suppress(self.head, image) for image in zip(*sets, strict=True)
        ]

    @property
    def metric(self) -> str:
        """str: Name of the score."""
        return f'AR@{PROPOSALS}' if self._proposes else 'mAP'

    @property
    def _proposes(self) -> bool:
        return isinstance(self.head, RPNHead)

    def score(self, detections: Sequence[InstanceData]) -> float:
        """Mean average precision, or recall, after suppression.

        Args:
            detections (Sequence[InstanceData]): ``[image]``, as
                :meth:`merge` gives them.

        Returns:
            float: Mean over IoUs of 0.5 to 0.95, and over classes if there
            are any, in [0, 1].
        """
        rows = []
        for result in detections:
            boxes = result.bboxes.numpy().copy()
            boxes[:, 2:] -= boxes[:, :2]
            rows += [
                dict(
                    image_id=result.img_id,
                    category_id=self.cat_ids[label],
                    bbox=box,
                    score=score,
                )
                for box, score, label in zip(
                    boxes.tolist(),
                    result.scores.tolist(),
                    result.labels.tolist(),
                    strict=True,
                )
            ]
        if not rows:
            return 0.0
        with redirect_stdout(None):  # COCO prints how long it takes
            evaluation = COCOeval(self.coco, self.coco.loadRes(rows), 'bbox')
            evaluation.params.imgIds = [image.img_id for image in detections]
            evaluation.params.catIds = self.cat_ids
            everything = evaluation.params.areaRng[0]
            evaluation.params.areaRng = [everything]
            evaluation.params.areaRngLbl = ['all']
            evaluation.params.maxDets = evaluation.params.maxDets[-1:]
            if self._proposes:
                evaluation.params.useCats = 0
                evaluation.params.maxDets = [PROPOSALS]
            evaluation.evaluate()
            evaluation.accumulate()
        kind = 'recall' if self._proposes else 'precision'
        values = evaluation.eval[kind][..., -1]
        return float(values[values > -1].mean())
