"""Greedy search of anchors for a trained detector, without running it anew."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from .detections import AnchorSet
from .files import write_json
from .prior_generator import MetaAnchorGenerator


class Step(NamedTuple):
    """One step: which candidate, the score with it, whether it was kept."""

    candidate: int
    score: float
    kept: bool


def paper_candidates(generator: MetaAnchorGenerator) -> list[AnchorSet]:
    r"""The search space of the paper.

    Scales :math:`2^{k/5}, -2 < k < 6`, and ratios :math:`1/3, 1/t, 1, t, 3`
    with :math:`t = 1.1, 1.2, .., 2`, height over width (`MetaAnchor
    <https://arxiv.org/abs/1807.00980>`_). They are relative to the smallest
    prior size of a level, as the paper's grids are.

    Args:
        generator (MetaAnchorGenerator): The anchors of the training.

    Returns:
        list[AnchorSet]: 7 x 23 sets of one anchor a level.
    """
    steps = [1 + i / 10 for i in range(1, 11)]
    ratios = sorted({1 / 3, 1.0, 3.0, *steps, *(1 / t for t in steps)})
    smallest = [s.prod(1).min().sqrt().item() for s in generator.base_shapes]
    return [
        [
            [(size * scale / ratio**0.5, size * scale * ratio**0.5)]
            for size in smallest
        ]
        for scale in (2 ** (k / 5) for k in range(-1, 6))
        for ratio in ratios
    ]


class Scorer:
    """mAP of merged detections on the images that were collected.

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

    def merge(
        self, sets: Sequence[Sequence[InstanceData]]
    ) -> list[InstanceData]:
        """Detections of several sets together, after suppression.

        Args:
            sets (Sequence[Sequence[InstanceData]]): ``[set][image]``.

        Returns:
            list[InstanceData]: What a test with all the anchors detects, as
            long as ``nms_pre`` and ``most`` have cut nothing off.
        """
        merged = []
        for image in zip(*sets, strict=True):
            together = InstanceData.cat(list(image))
            merged.append(
                self.head._bbox_post_process(
                    together,
                    self.head.test_cfg,
                    rescale=False,
                    with_nms=True,
                    img_meta={},
                )
            )
        return merged

    def __call__(self, sets: Sequence[Sequence[InstanceData]]) -> float:
        """mAP, IoU 0.5 to 0.95, in [0, 1]."""
        rows = []
        for first, result in zip(sets[0], self.merge(sets), strict=True):
            boxes = result.bboxes.numpy().copy()
            boxes[:, 2:] -= boxes[:, :2]
            rows += [
                dict(
                    image_id=first.img_id,
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
            evaluation.params.imgIds = [image.img_id for image in sets[0]]
            evaluation.params.catIds = self.cat_ids
            everything = evaluation.params.areaRng[0]
            evaluation.params.areaRng = [everything]
            evaluation.params.areaRngLbl = ['all']
            evaluation.params.maxDets = evaluation.params.maxDets[-1:]
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval['precision'][..., -1]
        return float(precision[precision > -1].mean())


class Log:
    """The steps of a search in a file that is whole after every one.

    Args:
        path (Path): The JSON file. One that is there is gone on from.
        settings (dict): What decides the search, JSON values.

    Raises:
        ValueError: The file is of a search with other settings.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        self.steps = []
        if path.is_file():
            content = json.loads(path.read_text())
            if content.get('settings') != self.settings:
                raise ValueError(
                    f'{path} is of a search with other settings; remove it, '
                    'or choose another folder'
                )
            self.steps = [Step(**step) for step in content['steps']]

    def add(self, step: Step) -> None:
        """Append a step and write the file."""
        self.steps.append(step)
        steps = [step._asdict() for step in self.steps]
        write_json(self.path, dict(settings=self.settings, steps=steps))


def greedy_search(
    scorer: Scorer,
    start: Sequence[InstanceData],
    candidates: Sequence[Sequence[InstanceData]],
    steps: int,
    patience: int,
    seed: int,
    done: Sequence[Step] = (),
) -> Iterator[Step]:
    """Add one random candidate after the other, keep what helps.

    Args:
        scorer (Scorer): What is to rise.
        start (Sequence[InstanceData]): Detections of the set to start from;
            empty ones to start from nothing.
        candidates (Sequence[Sequence[InstanceData]]): Detections of every
            candidate.
        steps (int): Most steps; never more than there are candidates.
        patience (int): Steps without a rise after which to end.
        seed (int): Of the order of the candidates.
        done (Sequence[Step]): Steps of an interrupted search of the same
            seed, to go on from.

    Yields:
        Step: Every new step.
    """
    order = list(range(len(candidates)))
    random.Random(seed).shuffle(order)
    kept = [start, *(candidates[s.candidate] for s in done if s.kept)]
    best = scorer(kept)
    failures = 0
    for step in done:
        failures = 0 if step.kept else failures + 1
    for candidate in order[len(done) : steps]:
        if failures >= patience:
            return
        score = scorer([*kept, candidates[candidate]])
        better = score > best
        if better:
            kept.append(candidates[candidate])
            best = score
        failures = 0 if better else failures + 1
        yield Step(candidate, score, better)
