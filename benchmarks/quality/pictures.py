"""What trained detectors of a grid make of the first test images."""

from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_metaanchor.anchors.browse.job import read_image
from mmdet_metaanchor.anchors.browse.pictures import draw_cell
from mmdet_metaanchor.anchors.browse.views import SetView, cell_anchors, detect
from mmdet_metaanchor.anchors.customize import customize_anchors
from mmdet_metaanchor.anchors.drawing import (
    DrawnBoxes,
    draw_boxes,
    image_grid,
    save,
)
from mmdet_metaanchor.runtime.checkpoints import load_detector

from .grid import Grid
from .jobs import Jobs
from .runs import Cell, Run

SCORE_THR = 0.3  # of the boxes that are drawn
FILES = ('detections.png', 'anchors.png')


def draw_pictures(grid: Grid, jobs: Jobs, out_dir: Path) -> list[str]:
    """Draw the ``pictures`` of a grid, by the detectors of its first seed.

    ``detections.png`` has a row per image: the truth, then what is detected
    in every column. ``anchors.png`` has the anchors of one cell, a row per
    set.

    Args:
        grid (Grid): The grid.
        jobs (Jobs): Where its trainings are.
        out_dir (Path): Folder for the files.

    Returns:
        list[str]: Names of those that are there. Where a checkpoint is not
        on this machine, those of an earlier report.
    """
    columns = {
        label: grid.cell(entry)
        for label, entry in grid.pictures.get('columns', {}).items()
    }
    runs = {c: Run(c.variant, grid.seeds[0], ()) for c in columns.values()}
    if columns and all(jobs.is_trained(run) for run in runs.values()):
        init_default_scope('mmdet')
        views = {}
        for label, cell in columns.items():
            views[label] = _look(grid, cell, *jobs.trained(runs[cell]))
        _draw_detections(out_dir / FILES[0], views)
        # A set per row, though several detectors may have it.
        sets = {cell.test.anchors: label for label, cell in columns.items()}
        sample, *_ = next(iter(views.values()))[0]
        draw_cell(
            out_dir / FILES[1],
            read_image(sample.img_path),
            {name: views[label][0][1] for name, label in sets.items()},
        )
    return [name for name in FILES if (out_dir / name).is_file()]


def _look(
    grid: Grid, cell: Cell, config: Path, checkpoint: Path
) -> list[tuple]:
    """For every image its sample, what the detector sees, and the classes."""
    with grid.environment(cell.test.data):
        cfg = Config.fromfile(config)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model, _ = load_detector(cfg, str(checkpoint))
    anchors = grid.anchors.get(cell.test.anchors)
    if anchors is not None:
        customize_anchors(model, anchors)
    number = min(grid.pictures['images'], len(dataset))
    items = [dataset[index] for index in range(number)]
    classes = dataset.metainfo['classes']
    return [
        (item['data_samples'], _view(model, item), classes) for item in items
    ]


def _view(model: nn.Module, item: dict) -> SetView:
    priors = model.bbox_head.prior_generator
    sample = item['data_samples']
    return SetView(
        [stride[0] for stride in priors.strides],
        cell_anchors(priors, sample.img_shape, sample.scale_factor),
        detect(model, item, SCORE_THR),
    )


def _draw_detections(path: Path, views: dict[str, list[tuple]]) -> None:
    rows = list(zip(*views.values(), strict=True))
    images = [read_image(row[0][0].img_path) for row in rows]
    grid = image_grid(len(rows), 1 + len(views), images[0])
    for axes, image, row in zip(grid, images, rows, strict=True):
        sample, _, classes = row[0]
        truth = sample.gt_instances
        boxes = DrawnBoxes(truth.bboxes.numpy(), truth.labels.numpy())
        draw_boxes(axes[0], image, boxes, classes)
        axes[0].set_ylabel(Path(sample.img_path).name)
        for column, (_, view, _) in zip(axes[1:], row, strict=True):
            draw_boxes(column, image, view.detections, classes)
    for axes, title in zip(grid[0], ('truth', *views), strict=True):
        axes.set_title(title)
    save(grid[0, 0].figure, path)
