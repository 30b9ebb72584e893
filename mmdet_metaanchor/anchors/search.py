"""Greedy search of anchors for a trained detector, without running it anew."""

import gc
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from ..runtime.files import go_on_from, write_json
from .anchors_file import write_anchors
from .customize import find_head, list_shapes
from .detections import AnchorSet, collect_detections, unite
from .scorer import Scorer, read_truth

BATCH_SIZE = 8


class Step(NamedTuple):
    """One step: which candidate, the score with it, whether it was kept."""

    candidate: int
    score: float
    kept: bool


class Found(NamedTuple):
    """What a search has found; scores are in [0, 1], see :class:`Scorer`.

    ``anchors``, sizes (w, h) in px, one list per level; ``scores``, those on
    the images searched on, at the start and in the end; ``held``, the same on
    the held images, or ``None``; ``seconds``, for detecting with all
    candidates and for choosing among them; ``metric``, the name of the score.
    """

    anchors: list[list[tuple[float, float]]]
    scores: tuple[float, float]
    held: tuple[float, float] | None
    seconds: tuple[float, float]
    metric: str


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
        content = go_on_from(path, settings)
        self.settings = content['settings']
        self.steps = [Step(**step) for step in content.get('steps', [])]

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

    A candidate is first added to what is left after suppression; if that
    raises the score, all detections are merged anew, and it is kept if the
    score still rises. So the score never falls.

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
    merged = scorer.merge(kept)
    best = scorer.score(merged)
    failures = 0
    for step in done:
        failures = 0 if step.kept else failures + 1
    for candidate in order[len(done) : steps]:
        if failures >= patience:
            return
        found = candidates[candidate]
        # Far cheaper than to merge all anew, and seldom another score: little
        # that suppression has removed would come back.
        score = scorer.score(scorer.merge([merged, found]))
        better = score > best
        if better:
            together = scorer.merge([*kept, found])
            score = scorer.score(together)
            better = score > best
        if better:
            kept.append(found)
            merged, best = together, score
        failures = 0 if better else failures + 1
        yield Step(candidate, score, better)


@contextmanager
def _frozen() -> Iterator[None]:
    """Leave what is there now, a great many detections, to no collection."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def search_anchors(
    model: nn.Module,
    dataset: Dataset,
    out_dir: Path,
    candidates: Sequence[AnchorSet],
    images: int = 50,
    held_images: int = 50,
    from_nothing: bool = False,
    steps: int = 161,
    patience: int = 60,
    most: int = 300,
    seed: int = 0,
    notes: dict | None = None,
    trained: AnchorSet | None = None,
) -> Found:
    """Search anchors, from those that a model has now.

    It never ends below the training anchors on the images searched on: it
    begins with these where they score higher than those that the model has,
    and, begun from nothing, returns them where they score higher than what
    it has found.

    ``out_dir`` receives ``search.json``, the log, and ``anchors.json``, both
    whole after every step. If it holds the log of the same search, that is
    gone on with.

    Args:
        model (nn.Module): As for :func:`collect_detections`.
        dataset (CocoDataset): Images and ground truth, for testing.
        out_dir (Path): The folder.
        candidates (Sequence[AnchorSet]): What to choose from.
        images (int): Number of images to search on, drawn at random.
        held_images (int): Number of others to score on before and after.
        from_nothing (bool): Whether to start from no anchors at all.
        steps (int): See :func:`greedy_search`.
        patience (int): See :func:`greedy_search`.
        most (int): See :func:`collect_detections`.
        seed (int): Of all draws.
        notes (dict, optional): What else decides the search, e.g. the name of
            the checkpoint; JSON values for the log.
        trained (AnchorSet, optional): The training anchors, sizes (w, h) in
            px. Defaults to those that the model has now.

    Returns:
        Found: The anchors and their scores.

    Raises:
        FileNotFoundError: The file of the ground truth is not there.
        ValueError: ``out_dir`` holds the log of another search, the ground
            truth is not a COCO JSON, or the images hold no box.
    """
    head = find_head(model)
    first = list_shapes(head.prior_generator)
    settings = dict(
        **(notes or {}),
        images=images,
        held_images=held_images,
        most=most,
        seed=seed,
        start=None if from_nothing else first,
        candidates=candidates,
    )
    if trained is None:
        trained = first
    else:
        settings['trained'] = trained
    log = Log(out_dir / 'search.json', settings)
    scorer = Scorer(head, read_truth(dataset.ann_file), dataset.cat_ids)
    order = random.Random(seed).sample(range(len(dataset)), len(dataset))
    held = order[images : images + held_images]
    for drawn in (order[:images], held):
        scorer.check([dataset.get_data_info(i)['img_id'] for i in drawn])

    def collect(sets: Sequence[AnchorSet], indices: list[int]) -> list:
        loader = DataLoader(
            Subset(dataset, indices), BATCH_SIZE, collate_fn=pseudo_collate
        )
        return collect_detections(model, loader, sets, most)

    def write(anchors: AnchorSet, score: float) -> None:
        write_anchors(
            out_dir / 'anchors.json', anchors, **{scorer.metric: score}
        )

    # Before the long part, as it may be refused.
    out_dir.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    # From nothing, the anchors that the model has now are of no use.
    alone = from_nothing or trained == first
    sets = [trained] if alone else [trained, first]
    results = collect([*sets, *candidates], order[:images])
    starts, found = results[: len(sets)], results[len(sets) :]
    collected = time.perf_counter()
    with _frozen():
        scores = [scorer.score(scorer.merge([start])) for start in starts]
        least = scores[0]  # of the training anchors
        before, start, first = max(
            zip(scores, starts, sets, strict=True), key=lambda entry: entry[0]
        )
        if from_nothing:
            first = [[] for _ in first]
            start = [image[:0] for image in start]
            before = scorer.score(scorer.merge([start]))
        best = max([before, *(s.score for s in log.steps if s.kept)])
        bar = tqdm(total=steps, desc='search', initial=len(log.steps))
        kept = [candidates[step.candidate] for step in log.steps if step.kept]
        anchors = unite([first, *kept])
        if anchors[0]:
            write(anchors, best)
        for step in greedy_search(
            scorer, start, found, steps, patience, seed, log.steps
        ):
            log.add(step)
            if step.kept:
                anchors = unite([anchors, candidates[step.candidate]])
                write(anchors, step.score)
            best = max(best, step.score)
            bar.update()
            bar.set_postfix_str(
                f'{scorer.metric} {100 * before:.2f} to {100 * best:.2f}'
            )
        bar.close()
    if least > best:
        anchors, best = trained, least
        write(anchors, best)
    chosen = time.perf_counter()
    held_scores = None
    if held and anchors[0]:
        sets = [first, anchors] if first[0] else [anchors]
        scores = [scorer.score(scorer.merge([s])) for s in collect(sets, held)]
        held_scores = (0.0, *scores)[-2:]  # no anchors detect nothing
    return Found(
        anchors,
        (before, best),
        held_scores,
        (collected - began, chosen - collected),
        scorer.metric,
    )
