"""Tests of a trained run: other data, other anchors, the same checkpoint.

``python -m benchmarks.quality.evaluate GRID RUN CONFIG CHECKPOINT OUT``,
RUN being a :class:`Run` in JSON.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_metaanchor.anchors.boxes import read_detector_boxes
from mmdet_metaanchor.anchors.candidates import paper_candidates
from mmdet_metaanchor.anchors.clusters import cluster_anchors
from mmdet_metaanchor.anchors.customize import (
    Anchors,
    customize_anchors,
    find_head,
    list_shapes,
    restored_anchors,
)
from mmdet_metaanchor.anchors.search import search_anchors
from mmdet_metaanchor.datasets.coco import read_images
from mmdet_metaanchor.runtime.checkpoints import load_strictly
from mmdet_metaanchor.runtime.files import write_json
from mmdet_metaanchor.runtime.runner import build_runner

from ..detectors import dense_head
from ..metrics import read_metrics
from .grid import Grid
from .runs import Evaluation, Run

SEARCH_IMAGES = 50


def evaluate(
    grid: Grid, run: Run, config: Path, checkpoint: Path, work_dir: Path
) -> dict[str, dict]:
    """Test a checkpoint as the tables ask for.

    Args:
        grid (Grid): Where the names of the tests are explained.
        run (Run): What was trained.
        config (Path): Its config.
        checkpoint (Path): Its checkpoint.
        work_dir (Path): Folder for logs.

    Returns:
        dict[str, dict]: By ``str(test)``: COCO ``metrics``, fractions; the
        numbers of ``images`` and of anchors ``per_cell``; and the sizes (w,
        h) in px of anchors that were chosen, ``anchors``.
    """
    results = {}
    for data in dict.fromkeys(test.data for test in run.tests):
        with grid.environment(data):
            cfg = Config.fromfile(config)
        cfg.work_dir = str(work_dir / data)
        cfg.launcher = 'none'
        # To MMEngine, visualizers of one name are one, whatever the runner.
        cfg.visualizer.name = cfg.experiment_name = f'{run.name}_{data}'
        runner = build_runner(cfg)
        load_strictly(runner, str(checkpoint))
        for test in (test for test in run.tests if test.data == data):
            results[test] = _test(grid, test, runner, cfg)
    return {str(test): results[test] for test in run.tests}


def _test(grid: Grid, test: Evaluation, runner: Runner, cfg: Config) -> dict:
    if test.anchors == 'trained':  # of a stock head, too
        return _measure(runner)
    with restored_anchors(runner.model):
        anchors = known = grid.anchors.get(test.anchors)
        if known is None:
            anchors = choose_anchors(test.anchors, runner, cfg)
        customize_anchors(runner.model, anchors)
        result = _measure(runner)
        if known is None:
            result['anchors'] = [
                [[round(side, 2) for side in size] for size in level]
                for level in list_shapes(
                    find_head(runner.model).prior_generator
                )
            ]
    return result


def _measure(runner: Runner) -> dict:
    return dict(
        metrics=read_metrics(runner.test()),
        images=len(runner.test_dataloader.dataset),
        per_cell=max(dense_head(runner.model).prior_generator.num_base_priors),
    )


def choose_anchors(how: str, runner: Runner, cfg: Config) -> Anchors:
    """Clusters of the boxes of train, or searched on some of its images.

    Args:
        how (str): One of :data:`.runs.CHOSEN`.
        runner (Runner): It has the model, with the training anchors.
        cfg (Config): Its config.

    Returns:
        list[list[tuple[float, float]]]: Sizes (w, h) in px, a list per level.
    """
    head = find_head(runner.model)
    trained = head.prior_generator
    images = read_images(cfg, 'train')
    anchors = shapes = list_shapes(trained)
    if 'clustered' in how:
        boxes = read_detector_boxes(cfg, images.ann_file)
        anchors = cluster_anchors(
            boxes.sizes,
            trained,
            shape_range=head.shape_range,
            beyond_range='beyond' in how,
        )
    if 'searched' not in how:
        return anchors
    # Its log is not kept: one of an earlier checkpoint would be gone on from.
    with restored_anchors(runner.model), TemporaryDirectory() as folder:
        customize_anchors(runner.model, anchors)
        return search_anchors(
            runner.model,
            images,
            Path(folder),
            paper_candidates(trained),
            images=SEARCH_IMAGES,
            held_images=0,
            trained=shapes,
        ).anchors


def main() -> None:
    """What the module does as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('grid', 'run', 'config', 'checkpoint', 'out'):
        parser.add_argument(name)
    args = parser.parse_args()
    grid = Grid(args.grid)
    variant, seed, tests = json.loads(args.run)
    run = Run(variant, seed, tuple(Evaluation(*test) for test in tests))
    out = Path(args.out)
    results = evaluate(
        grid, run, Path(args.config), Path(args.checkpoint), out.parent
    )
    write_json(out, results)


if __name__ == '__main__':
    main()
