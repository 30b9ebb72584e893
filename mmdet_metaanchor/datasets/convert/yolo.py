"""YOLO's text files, and its lists of classes."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from .boxes import (
    Annotated,
    Box,
    Read,
    check_corners,
    collect,
    find_files,
    read_number,
)
from .images import ImageFolder


def read_yolo(
    folder: str | Path,
    images: ImageFolder,
    classes: Sequence[str],
    others: Sequence[str | Path] = (),
) -> Read:
    """Read one text file per image: ``class x y width height`` in each line.

    The centre (x, y) and the size are shares of the image's width and height.
    An image without a file, or with an empty one, is one without objects.

    Args:
        folder (str | Path): Where the files are, also in folders below.
        images (ImageFolder): The images.
        classes (Sequence[str]): Names of the numbers.
        others (Sequence[str | Path]): Text files that are something else.

    Returns:
        Read: All images of the folder of images.

    Raises:
        FileNotFoundError: The folder holds no text files.
    """

    def parse(path: Path) -> Annotated:
        key = path.relative_to(folder).with_suffix('').as_posix()
        image = images.find(key)
        size = images.size(image)
        boxes = []
        lines = path.read_text(encoding='utf-8-sig').splitlines()
        for number, line in enumerate(lines, 1):
            try:
                if words := line.split():
                    boxes.append(_read_box(words, size, classes))
            except ValueError as error:
                raise ValueError(f'line {number}: {error}') from None
        return Annotated(image, size, boxes)

    def without(image: str) -> Annotated:
        return Annotated(image, images.size(image), [])

    others = {Path(path).resolve() for path in others}
    paths = find_files(folder, '.txt')
    read = collect([p for p in paths if p.resolve() not in others], parse)
    if read.problems:  # their images would seem to have no file
        return read
    rest = set(images.names) - {image.image for image in read.images}
    empty = collect(sorted(rest), without)
    return Read(read.images + empty.images, empty.problems)


def _read_box(
    words: list[str], size: tuple[int, int], classes: Sequence[str]
) -> Box:
    if len(words) != 5:
        raise ValueError(
            f'a box has 5 numbers, class, x, y, width and height, got '
            f'{len(words)}'
        )
    number = words[0]
    if not number.isdecimal() or int(number) >= len(classes):
        raise ValueError(
            f'the classes are 0 to {len(classes) - 1}, got {number}'
        )
    names = ('x', 'y', 'width', 'height')
    x, y, w, h = map(read_number, words[1:], names)
    shares = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    corners = tuple(s * side for s, side in zip(shares, size * 2, strict=True))
    check_corners(corners, size)
    return Box(classes[int(number)], corners)


def read_class_list(path: str | Path) -> list[str]:
    """Names of classes in their order.

    Args:
        path (str | Path): A text file with a name per line, or YOLO's YAML
            file, whose ``names`` are a list, or a mapping from numbers.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It lists none, one twice, or numbers with gaps.
    """
    path = Path(path)
    text = path.read_text(encoding='utf-8-sig')
    if path.suffix.lower() in ('.yaml', '.yml'):
        names = _names_of_yaml(path, text)
    else:
        names = [line.strip() for line in text.rstrip().splitlines()]
    if not names or '' in names or len(set(names)) < len(names):
        raise ValueError(
            f'{path} must list classes, each once and none empty, got {names}'
        )
    return names


def _names_of_yaml(path: Path, text: str) -> list[str]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = ' '.join(str(error).split())
        raise ValueError(f'{path} is not YAML: {line}') from None
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise ValueError(
                f'the names of {path} must be numbered from 0 without gaps, '
                f'got {list(names)}'
            )
        names = [names[number] for number in range(len(names))]
    return [str(name) for name in names or []]
