"""Prepare the data of the grids photographs.py, rivals.py and tries.py.

``python -m benchmarks.photographs SOURCE [OUT]``. SOURCE holds the folders
``plates``, ``plates-us``, ``plates-eu``, ``neu`` and ``bccd``, each with
``images/``, ``train.json`` and ``val.json`` in COCO format: licence plates of
Romania (RobertLucian/license-plate-dataset), of the USA and of Europe
(openalpr/benchmarks, each with 50 images in ``train.json``), NEU-DET's defects
of steel, and blood cells (Shenggan/BCCD_Dataset), no image larger than 640 px.

OUT (default data/photographs) receives links to them, and ``neu-square``: the
classes of ``neu`` whose boxes are of all ratios, with only those images for
training that hold no box longer than twice its other side, and all for
testing; and ``plates-part``: four fifths of the training images of ``plates``,
and the others for testing, to choose settings on.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import read_json, write_json

FOLDERS = ('plates', 'plates-us', 'plates-eu', 'neu', 'bccd')
# The other two have next to no box near a square.
CLASSES = ('crazing', 'patches', 'pitted_surface', 'rolled-in_scale')
MAX_RATIO = 2
HELD = 5  # one of so many training images


def main() -> None:
    """What the module does as a program."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.photographs', description=__doc__
    )
    parser.add_argument('source', type=Path)
    parser.add_argument(
        'out', type=Path, nargs='?', default=Path('data/photographs')
    )
    args = parser.parse_args()
    with one_line_errors():
        prepare(args.source, args.out)
    print(args.out)


def prepare(source: Path, out: Path) -> None:
    """Link the folders, and split ``neu``.

    Raises:
        FileNotFoundError: A folder is missing.
    """
    for name in FOLDERS:
        if not (source / name / 'train.json').is_file():
            raise FileNotFoundError(f'{source / name} holds no train.json')
    out.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        _link(out / name, source / name)
    square = out / 'neu-square'
    square.mkdir(exist_ok=True)
    _link(square / 'images', source / 'neu' / 'images')
    for split, max_ratio in (('train', MAX_RATIO), ('val', float('inf'))):
        content = read_json(source / 'neu' / f'{split}.json')
        write_json(
            square / f'{split}.json',
            with_short_boxes(content, CLASSES, max_ratio),
        )
    part = out / 'plates-part'
    part.mkdir(exist_ok=True)
    _link(part / 'images', source / 'plates' / 'images')
    content = read_json(source / 'plates' / 'train.json')
    ids = [image['id'] for image in content['images']]
    held = set(ids[::HELD])
    for split, kept in (('train', set(ids) - held), ('val', held)):
        write_json(part / f'{split}.json', keep(content, kept))


def with_short_boxes(
    content: dict, classes: tuple[str, ...], max_ratio: float
) -> dict:
    """Images whose boxes are all of some classes, and no longer than a ratio.

    Args:
        content (dict): COCO JSON.
        classes (tuple[str]): Names of categories.
        max_ratio (float): The longer side of a box divided by the other.

    Returns:
        dict: COCO JSON of these images, with these categories alone.
    """
    categories = [c for c in content['categories'] if c['name'] in classes]
    ids = {category['id'] for category in categories}
    boxes = defaultdict(list)
    for annotation in content['annotations']:
        boxes[annotation['image_id']].append(annotation)

    def fits(annotation: dict) -> bool:
        sides = annotation['bbox'][2:]
        ratio = max(sides) / min(sides) if min(sides) > 0 else float('inf')
        return annotation['category_id'] in ids and ratio <= max_ratio

    kept = {i for i, found in boxes.items() if all(map(fits, found))}
    return dict(keep(content, kept), categories=categories)


def keep(content: dict, kept: set[int]) -> dict:
    """COCO JSON of the images with these ids."""
    return dict(
        content,
        images=[i for i in content['images'] if i['id'] in kept],
        annotations=[
            a for a in content['annotations'] if a['image_id'] in kept
        ],
    )


def _link(path: Path, target: Path) -> None:
    """A link, made anew if there is one."""
    target = target.resolve()  # first, as it may lead through the old link
    if path.is_symlink():
        path.unlink()
    path.symlink_to(target)


if __name__ == '__main__':
    main()
