"""From annotated images to a folder that configs/custom reads."""

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...runtime.files import write_json
from .boxes import DECIMALS, Annotated, Read, cut
from .images import ImageFolder


class WrongFiles(ValueError):
    """Something is wrong; ``problems`` has a line for each file or row."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        more = f' (and {len(problems) - 1} more)' if problems[1:] else ''
        super().__init__(f'{problems[0]}{more}; nothing was written')


def write_coco(
    read: Read,
    images: ImageFolder,
    out_dir: str | Path,
    classes: Sequence[str] | None = None,
    val: str = '0.2',
    seed: int = 0,
) -> list[str]:
    """Write ``train.json`` and ``val.json``, and ``images`` as a link.

    Boxes are cut at the border of their image. Uncertain ones become crowds,
    which MMDetection neither trains on nor counts.

    Args:
        read (Read): The annotated images.
        images (ImageFolder): Where they are.
        out_dir (str | Path): Folder for all three. Missing parents are made.
            Where the system has no links, images are copied.
        classes (Sequence[str], optional): Names of the classes, in the order
            of the labels. Those that are found, by name, where not given.
        val (str): The images of val: a folder in that of the images; a share
            of all, drawn by ``seed``; or a text file that lists them.
        seed (int): See above.

    Returns:
        list[str]: What was written, in lines for people.

    Raises:
        WrongFiles: ``read`` has problems, a class that is not listed, or an
            image twice.
        FileExistsError: One of the three is there and is something else.
        ValueError: ``val`` is none of the three, or leaves no images to
            train or to validate with.
    """
    problems = list(read.problems)
    found = Counter(box.name for image in read.images for box in image.boxes)
    classes = sorted(found) if classes is None else list(classes)
    problems += [
        f'{image.image}: class {name}, which is not among {len(classes)} '
        'that are listed'
        for image in read.images
        for name in sorted({box.name for box in image.boxes} - set(classes))
    ]
    files = Counter(image.image for image in read.images)
    problems += [
        f'{name}: {number} files are about this image'
        for name, number in files.items()
        if number > 1
    ]
    if problems:
        raise WrongFiles(problems)
    if not found:
        raise ValueError('there is no box in any file')
    everything = sorted(read.images)
    held = _held_out([i.image for i in everything], images, val, seed)
    splits = dict(
        train=[i for i in everything if i.image not in held],
        val=[i for i in everything if i.image in held],
    )
    if not all(splits.values()):
        raise ValueError(
            f'{val} leaves {len(splits["train"])} images to train with and '
            f'{len(splits["val"])} to validate with'
        )
    out_dir = Path(out_dir)
    for split in splits:
        if (out_dir / f'{split}.json').exists():
            raise FileExistsError(
                f'{out_dir / split}.json is there; remove it or choose '
                'another folder'
            )
    out_dir.mkdir(parents=True, exist_ok=True)
    _link_images(images, out_dir / 'images')
    lines = []
    for split, members in splits.items():
        path = out_dir / f'{split}.json'
        write_json(path, _content(members, classes))
        lines.append(f'{path}: {_split_summary(members, classes)}')
    return lines + _remarks(splits, images, classes)


def _held_out(
    names: Sequence[str], images: ImageFolder, val: str, seed: int
) -> set[str]:
    """The images of val."""
    folder = val.replace('\\', '/').strip('/') + '/'
    if held := {name for name in names if name.startswith(folder)}:
        return held
    try:
        share = float(val)
    except ValueError:
        pass
    else:
        if not 0 < share < 1:
            raise ValueError(f'a share for val must be in (0, 1), got {val}')
        number = max(1, round(share * len(names)))
        return set(random.Random(seed).sample(names, number))
    if Path(val).is_file():
        lines = Path(val).read_text(encoding='utf-8-sig').splitlines()
        listed = [line.strip() for line in lines if line.strip()]
        return {images.find(name) for name in listed}
    raise ValueError(
        'val must be a share such as 0.2, a text file that lists images, or '
        f'a folder with some in {images.folder}, got {val}'
    )


def _link_images(images: ImageFolder, link: Path) -> None:
    if link.exists() or link.is_symlink():
        if link.exists() and link.samefile(images.folder):
            return
        raise FileExistsError(
            f'{link} is there, and is not {images.folder}; choose another '
            'folder'
        )
    try:
        link.symlink_to(images.folder.resolve(), target_is_directory=True)
    except OSError:  # no links on this file system, or for this user
        for name in images.names:
            (link / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(images.folder / name, link / name)


def _content(members: Sequence[Annotated], classes: Sequence[str]) -> dict:
    """What a COCO JSON holds."""
    rows = [(i, box) for i, m in enumerate(members, 1) for box in m.boxes]
    numbers = {name: number for number, name in enumerate(classes, 1)}
    annotations = []
    for number, (image, box) in enumerate(rows, 1):
        x1, y1, x2, y2 = cut(box.corners, members[image - 1].size)
        width, height = round(x2 - x1, DECIMALS), round(y2 - y1, DECIMALS)
        annotations.append(
            dict(
                id=number,
                image_id=image,
                category_id=numbers[box.name],
                bbox=[x1, y1, width, height],
                area=round(width * height, DECIMALS),
                iscrowd=int(box.uncertain),
            )
        )
    return dict(
        images=[
            dict(id=i, file_name=m.image, width=m.size[0], height=m.size[1])
            for i, m in enumerate(members, 1)
        ],
        annotations=annotations,
        categories=[dict(id=id_, name=name) for name, id_ in numbers.items()],
    )


def _split_summary(
    members: Sequence[Annotated], classes: Sequence[str]
) -> str:
    found = Counter(box.name for m in members for box in m.boxes)
    parts = ', '.join(f'{name} {found[name]}' for name in classes)
    return f'{len(members)} images, {found.total()} boxes: {parts}'


def _remarks(
    splits: dict[str, list[Annotated]],
    images: ImageFolder,
    classes: Sequence[str],
) -> list[str]:
    """What a person may want to look at."""
    members = [member for split in splits.values() for member in split]
    boxes = [(box, member.size) for member in members for box in member.boxes]
    outside = sum(
        any(
            not -0.5 / 10**DECIMALS <= c <= s + 0.5 / 10**DECIMALS
            for c, s in zip(box.corners, size * 2, strict=True)
        )
        for box, size in boxes
    )
    left = sorted(set(images.names) - {member.image for member in members})
    numbers = {
        'boxes cut at the border of their image': outside,
        'boxes uncertain, as crowds': sum(b.uncertain for b, _ in boxes),
        'images without objects': sum(not m.boxes for m in members),
        f'images left out, without annotation: {", ".join(left[:5])}': len(
            left
        ),
    }
    lines = [f'{number} {text}' for text, number in numbers.items() if number]
    for split, part in splits.items():
        there = {box.name for member in part for box in member.boxes}
        if lacking := [name for name in classes if name not in there]:
            lines.append(f'{split} has no boxes of {", ".join(lacking)}')
    return lines
