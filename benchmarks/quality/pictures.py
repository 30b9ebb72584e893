"""What trained detectors of a grid make of the first test images."""

from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_metaanchor.anchors.browse.job import read_image
from mmdet_metaanchor.anchors.browse.pictures import draw_cell
from mmdet_metaanchor.anchors.browse.views import SetView, view_as_is, view_set
from mmdet_metaanchor.anchors.customize import Anchors
from mmdet_metaanchor.anchors.drawing import (
    DrawnBoxes,
    draw_boxes,
    image_grid,
    save,
)
from mmdet_metaanchor.runtime.checkpoints import load_detector

from ..detectors import dense_head
from .grid import Grid
from .jobs import Jobs
from .records import Records
from .runs import Cell, Run

SCORE_THR = 0.3  # of the boxes that are drawn
FILES = ('detections.png', 'anchors.png')


def draw_pictures(jobs: Jobs, out_dir: Path) -> list[str]:
    """Draw the ``pictures`` of a grid, by the detectors of its first seed.

    ``detections.png`` has a row per image: the truth, then what is detected
    in every column. ``anchors.png`` has the anchors of one cell, a row per
    set.

    Args:
        jobs (Jobs): Where its records and trainings are.
        out_dir (Path): Folder for the files.

    Returns:
        list[str]: Names of those that are there. Where a checkpoint is not
        on this machine, those of an earlier report.
    """
    grid = jobs.grid
    columns = {
        label: grid.cell(entry)
        for label, entry in grid.pictures.get('columns', {}).items()
    }
    runs = {
        cell: Run(cell.variant, grid.seeds[0], (cell.test,))
        for cell in columns.values()
    }
    if columns and all(
        jobs.is_trained(run)
        and (not cell.test.chooses or jobs.records.is_done(run))
        for cell, run in runs.items()
    ):
        init_default_scope('mmdet')
        loaded, views = {}, {}
        for label, cell in columns.items():
            key = cell.variant, cell.test.data
            if key not in loaded:
                loaded[key] = _load(grid, cell, *jobs.trained(runs[cell]))
            model, items, _ = loaded[key]
            anchors = _anchors(jobs.records, runs[cell])
            views[label] = [_view(model, item, anchors) for item in items]
        _, items, classes = next(iter(loaded.values()))
        samples = [item['data_samples'] for item in items]
        _draw_detections(out_dir / FILES[0], samples, classes, views)
        # A set per row, though several detectors may have it.
        sets = {cell.test.anchors: label for label, cell in columns.items()}
        draw_cell(
            out_dir / FILES[1],
            read_image(samples[0].img_path),
            {name: views[label][0] for name, label in sets.items()},
        )
    return [name for name in FILES if (out_dir / name).is_file()]


def _load(
    grid: Grid, cell: Cell, config: Path, checkpoint: Path
) -> tuple[nn.Module, list[dict], Sequence[str]]:
    """The detector of a cell, the images to draw, and the classes."""
    with grid.environment(cell.test.data):
        cfg = Config.fromfile(config)
    model, _ = load_detector(cfg, str(checkpoint))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    number = min(grid.pictures['images'], len(dataset))
    items = [dataset[index] for index in range(number)]
    return model, items, dataset.metainfo['classes']


def _anchors(records: Records, run: Run) -> Anchors | None:
    """Those of its one test; ``None``, if they are those of the training."""
    (test,) = run.tests
    if test.chooses:
        return records.read(run)['tests'][str(test)]['anchors']
    return records.grid.anchors.get(test.anchors)


def _view(model: nn.Module, item: dict, anchors: Anchors | None) -> SetView:
    if anchors is None:  # those of the training, of a stock head, too
        priors = dense_head(model).prior_generator
        return view_as_is(model, priors, item, SCORE_THR)
    return view_set(model, item, anchors, SCORE_THR)


def _draw_detections(
    path: Path,
    samples: Sequence[DetDataSample],
    classes: Sequence[str],
    views: dict[str, list[SetView]],
) -> None:
    images = [read_image(sample.img_path) for sample in samples]
    grid = image_grid(len(samples), 1 + len(views), images[0])
    for index, (axes, sample) in enumerate(zip(grid, samples, strict=True)):
        truth = sample.gt_instances
        boxes = DrawnBoxes(truth.bboxes.numpy(), truth.labels.numpy())
        seen = [boxes, *(view[index].detections for view in views.values())]
        for column, found in zip(axes, seen, strict=True):
            draw_boxes(column, images[index], found, classes)
        axes[0].set_ylabel(Path(sample.img_path).name)
    for axes, title in zip(grid[0], ('truth', *views), strict=True):
        axes.set_title(title)
    save(grid[0, 0].figure, path)
