"""Pictures of what assigners make of the priors of an image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from mmdet.registry import TASK_UTILS
from mmengine.dataset import BaseDataset
from torch import Tensor, nn
from tqdm import tqdm

from ..drawing import CLASS_COLOURS, image_grid, rectangle, save
from ..matches import Scene, find_assigning_head, match, view_scene
from .job import read_image

PANEL = 3.2  # inches, the width of a panel
IGNORED, MISSED = '#E69F00', '#D00000'
OWN = "the config's"


def browse_matches(
    model: nn.Module,
    dataset: BaseDataset,
    images: Sequence[str],
    out_dir: str | Path,
    assigners: Sequence[dict] = (),
) -> list[Path]:
    """Draw what assigners make of the priors of images, a PNG file each.

    A row per assigner, the config's first, and a column per level: objects,
    the priors that are positive for them, and those that are ignored. What
    a sampler takes of these afterwards is not shown.

    Args:
        model (nn.Module): A detector with anchors, trained or not.
        dataset (BaseDataset): Of the test pipeline, see
            :func:`~mmdet_metaanchor.datasets.coco.read_images`.
        images (Sequence[str]): Names of image files in it; the first with
            objects where there are none.
        out_dir (str | Path): Folder for ``matches_<image>.png``.
        assigners (Sequence[dict]): Configs of assigners to compare with that
            of the model.

    Returns:
        list[Path]: The files.

    Raises:
        TypeError: The model has no anchors or no assigner, an assigner
            looks at predictions, or an assigner lacks an argument.
        ValueError: An image is not in the data set.
    """
    model.eval()
    rules = {OWN: find_assigning_head(model).assigner}
    for cfg in assigners:
        rules[str(cfg)] = TASK_UTILS.build(dict(cfg))
    out_dir = Path(out_dir)
    written = []
    for index in tqdm(find_images(dataset, images), 'images', unit='image'):
        scene = view_scene(model, dataset, index)
        matches = {
            _name(text, rule): match(scene, rule)
            for text, rule in rules.items()
        }
        path = Path(dataset.get_data_info(index)['img_path'])
        out_dir.mkdir(parents=True, exist_ok=True)
        written.append(out_dir / f'matches_{path.stem}.png')
        draw_matches(written[-1], read_image(path), scene, matches)
    return written


def find_images(dataset: BaseDataset, names: Sequence[str]) -> list[int]:
    """Where images are in a data set, by the names of their files.

    Raises:
        ValueError: One is not there, or none has an object.
    """
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    if not names:
        for index, info in enumerate(infos):
            if any(not i['ignore_flag'] for i in info['instances']):
                return [index]
        raise ValueError(f'no image of {dataset.ann_file} has an object')
    places = {Path(i['img_path']).name: n for n, i in enumerate(infos)}
    lost = [name for name in names if Path(name).name not in places]
    if lost:
        raise ValueError(
            f'{dataset.ann_file} has no image {", ".join(lost)}; its first is '
            f'{next(iter(places))}'
        )
    return [places[Path(name).name] for name in names]


def draw_matches(
    path: Path,
    image: np.ndarray,
    scene: Scene,
    matches: Mapping[str, Sequence[Tensor]],
) -> None:
    """A row per assigner, a column per level.

    Args:
        path (Path): The PNG file.
        image (np.ndarray): (H, W, 3) RGB uint8, of any size.
        scene (Scene): Its priors and objects.
        matches (dict[str, list[Tensor]]): By name of the assigner, what
            :func:`.match` gives.
    """
    levels = len(scene.strides)
    grid = image_grid(len(matches), levels, image, PANEL, 2)
    for row, (name, levels) in zip(grid, matches.items(), strict=True):
        objects = scene.objects.bboxes.numpy()
        matched = {int(i) - 1 for inds in levels for i in inds if i > 0}
        for axes, stride, priors, inds in zip(
            row, scene.strides, scene.priors, levels, strict=True
        ):
            _draw_level(axes, image, scene, priors.numpy(), inds.numpy())
            for index, corners in enumerate(objects):
                _draw_object(axes, corners, index in matched)
            kinds = [(inds > 0), (inds < 0), (inds == 0)]
            numbers = [int(kind.sum()) for kind in kinds]
            axes.set_title(
                f'stride {stride[0]}: {numbers[0]} positive,\n'
                f'{numbers[1]} ignored, {numbers[2]} negative',
                size=9,
            )
        row[0].set_ylabel(
            f'{fill(name, 40)}\n{len(matched)} of {len(objects)} objects have '
            'a positive prior',
            size=8,
        )
    figure = grid[0, 0].figure
    figure.legend(
        handles=[
            Line2D([], [], color='black', lw=2, label='object'),
            Line2D(
                [],
                [],
                color=MISSED,
                lw=2,
                ls='--',
                label='object without a positive prior',
            ),
            Line2D(
                [],
                [],
                color=CLASS_COLOURS[0],
                label='positive prior, a colour per object',
            ),
            Line2D(
                [],
                [],
                color=IGNORED,
                ls='',
                marker='.',
                label='centre of ignored priors',
            ),
        ],
        loc='outside lower center',
        ncols=4,
        frameon=False,
    )
    save(figure, path)


def _draw_level(
    axes: Axes,
    image: np.ndarray,
    scene: Scene,
    priors: np.ndarray,
    inds: np.ndarray,
) -> None:
    height, width = scene.meta['img_shape'][:2]
    axes.imshow(image, alpha=0.45, extent=(0, width, height, 0))
    centres = (priors[:, :2] + priors[:, 2:]) / 2
    axes.plot(*centres[inds < 0].T, '.', color=IGNORED, markersize=2)
    for prior, index in zip(priors[inds > 0], inds[inds > 0], strict=True):
        colour = CLASS_COLOURS[(index - 1) % len(CLASS_COLOURS)]
        axes.add_patch(rectangle(prior, colour, 1.0))
    axes.set(xlim=(0, width), ylim=(height, 0))


def _draw_object(axes: Axes, corners: np.ndarray, matched: bool) -> None:
    frame = rectangle(corners, 'black' if matched else MISSED, 1.5)
    if not matched:
        frame.set_linestyle('--')
    frame.set_path_effects([withStroke(linewidth=3, foreground='white')])
    axes.add_patch(frame)


def _name(text: str, rule: object) -> str:
    return f'{type(rule).__name__}, {OWN}' if text == OWN else text
