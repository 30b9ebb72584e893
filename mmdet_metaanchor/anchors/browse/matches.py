"""Pictures of what assigners make of the priors of an image."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from mmdet.registry import TASK_UTILS
from mmengine.dataset import BaseDataset
from torch import Tensor, nn
from tqdm import tqdm

from ..drawing import CLASS_COLOURS, image_grid, rectangle, save
from ..matches import Scene, find_assigning_head, match, view_scene
from .job import read_image
from .pictures import window

PANEL = 3.2  # inches, the width of a panel
ZOOM = 4  # at most, of small objects
COLOURS = CLASS_COLOURS[:-1]  # without light grey
IGNORED, MISSED = '#E69F00', '#D00000'


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
        ValueError: An assigner is not known, or as of :func:`find_images`.
    """
    model.eval()
    own = find_assigning_head(model).assigner
    rules = {f"{type(own).__name__}, the config's": own}
    for cfg in assigners:
        kind = cfg['type']
        if isinstance(kind, str) and TASK_UTILS.get(kind) is None:
            raise ValueError(f'there is no assigner named {kind}')
        rules[_name(cfg)] = TASK_UTILS.build(dict(cfg))
    out_dir = Path(out_dir)
    written = []
    for index in tqdm(find_images(dataset, images), 'images', unit='image'):
        scene = view_scene(model, dataset, index)
        matches = {name: match(scene, rule) for name, rule in rules.items()}
        path = Path(dataset.get_data_info(index)['img_path'])
        out_dir.mkdir(parents=True, exist_ok=True)
        written.append(out_dir / f'matches_{path.stem}.png')
        draw_matches(written[-1], read_image(path), scene, matches)
    return written


def find_images(dataset: BaseDataset, names: Sequence[str]) -> list[int]:
    """Where images are in a data set, by the names of their files.

    Raises:
        ValueError: One is not there, or is one of several of that name; two
            would share a picture; or none has an object.
    """
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    if not names:
        for index, info in enumerate(infos):
            if any(not i['ignore_flag'] for i in info['instances']):
                return [index]
        raise ValueError(f'no image of {dataset.ann_file} has an object')
    paths = [Path(info['img_path']).absolute().parts for info in infos]
    places = [_place(paths, name, dataset.ann_file) for name in names]
    stems = Counter(Path(infos[place]['img_path']).stem for place in places)
    stem, number = stems.most_common(1)[0]
    if number > 1:
        raise ValueError(
            f'{number} images are named {stem} and would share their picture; '
            'give images of different names'
        )
    return places


def _place(paths: Sequence[tuple[str, ...]], name: str, ann_file: str) -> int:
    """Of the only image whose path ends with a name, or with its last part."""
    wanted = Path(name).parts
    for tail in (wanted, wanted[-1:]):
        found = [n for n, p in enumerate(paths) if p[-len(tail) :] == tail]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f'{ann_file} has {len(found)} images {name}; give more of '
                'the path of one'
            )
    raise ValueError(
        f'{ann_file} has no image {name}; its first is {paths[0][-1]}'
    )


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
    grid = image_grid(len(matches), len(scene.strides), image, PANEL, 2)
    scale = np.tile(scene.meta['scale_factor'], 2)
    objects = scene.objects.bboxes.numpy() / scale
    for level, (stride, column) in enumerate(
        zip(scene.strides, grid.T, strict=True)
    ):
        priors = scene.priors[level].numpy() / scale
        inds = [rule[level].numpy() for rule in matches.values()]
        shown = np.vstack([objects, *(priors[i > 0] for i in inds)])
        x1, y1, x2, y2 = (
            window(shown, image, ZOOM)
            if len(shown)
            else (0, 0, *image.shape[1::-1])
        )
        for axes, own, rule in zip(
            column, inds, matches.values(), strict=True
        ):
            axes.imshow(image, alpha=0.45)
            missed = _missed(rule, len(objects))
            for corners, lost in zip(objects, missed, strict=True):
                _draw_object(axes, corners, lost)
            _draw_priors(axes, priors, own)
            axes.set(xlim=(x1, x2), ylim=(y2, y1))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, integer=True))
            axes.tick_params(labelsize=7)
            axes.set_title(_level_title(stride[0], own), size=9)
    for axes, (name, rule) in zip(grid[:, 0], matches.items(), strict=True):
        found = len(objects) - _missed(rule, len(objects)).sum()
        axes.set_ylabel(
            f'{fill(name, 36)}\n{found} of {len(objects)} objects matched',
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
                color=COLOURS[0],
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


def _draw_priors(axes: Axes, priors: np.ndarray, inds: np.ndarray) -> None:
    centres = (priors[:, :2] + priors[:, 2:]) / 2
    axes.plot(*centres[inds < 0].T, '.', color=IGNORED, markersize=2)
    for prior, index in zip(priors[inds > 0], inds[inds > 0], strict=True):
        colour = COLOURS[(index - 1) % len(COLOURS)]
        axes.add_patch(rectangle(prior, colour, 1.2))


def _missed(rule: Sequence[Tensor], number: int) -> np.ndarray:
    """(number,) whether no level has a positive prior of an object."""
    return ~np.isin(np.arange(number) + 1, torch.cat(list(rule)).numpy())


def _level_title(stride: int, inds: np.ndarray) -> str:
    positive, ignored, negative = (
        int(kind.sum()) for kind in (inds > 0, inds < 0, inds == 0)
    )
    return (
        f'stride {stride}: {positive} positive,\n{ignored} ignored, '
        f'{negative} negative'
    )


def _draw_object(axes: Axes, corners: np.ndarray, missed: bool) -> None:
    frame = rectangle(corners, MISSED if missed else 'black', 1.5)
    if missed:
        frame.set_linestyle('--')
    frame.set_path_effects([withStroke(linewidth=3, foreground='white')])
    axes.add_patch(frame)


def _name(cfg: dict) -> str:
    rest = {key: value for key, value in cfg.items() if key != 'type'}
    words = [f'{key}={value}' for key, value in rest.items()]
    return ' '.join([str(cfg['type']), *words])
