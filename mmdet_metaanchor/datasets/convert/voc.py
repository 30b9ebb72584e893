"""Pascal VOC's XML files."""

from pathlib import Path
from xml.etree import ElementTree

from .boxes import (
    CORNERS,
    Annotated,
    Box,
    Read,
    collect,
    find_files,
    read_corners,
    read_number,
)
from .images import ImageFolder


def read_voc(
    folder: str | Path, images: ImageFolder, from_one: bool = True
) -> Read:
    """Read one XML file per image, of the image's name.

    Args:
        folder (str | Path): Where they are, also in folders below.
        images (ImageFolder): The images.
        from_one (bool): As for :func:`.read_corners`.

    Returns:
        Read: Objects that are ``difficult`` are uncertain.

    Raises:
        FileNotFoundError: The folder holds no XML files.
    """

    def parse(path: Path) -> Annotated:
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise ValueError(f'it is not XML: {error}') from None
        key = path.relative_to(folder).with_suffix('').as_posix()
        if not images.has(key):  # its own name may differ
            key = root.findtext('filename') or key
        image = images.find(key)
        size = images.size(image)
        _check_size(root, image, size)
        boxes = []
        for number, node in enumerate(root.iter('object'), 1):
            texts = [node.findtext(f'bndbox/{side}') for side in CORNERS]
            name = node.findtext('name', '').strip()
            try:
                if not name:
                    raise ValueError('it has no name')
                corners = read_corners(texts, size, from_one)
            except ValueError as error:
                raise ValueError(f'object {number}: {error}') from None
            uncertain = node.findtext('difficult', '').strip() == '1'
            boxes.append(Box(name, corners, uncertain))
        return Annotated(image, size, boxes)

    return collect(find_files(folder, '.xml'), parse)


def _check_size(root: ElementTree.Element, image: str, size: tuple) -> None:
    """Boxes of an image of another size are boxes of another image."""
    texts = [root.findtext(f'size/{side}') for side in ('width', 'height')]
    if not all(texts):
        return
    told = tuple(int(read_number(text, 'size')) for text in texts)
    if min(told) > 0 and told != size:  # some programs write 0
        raise ValueError(
            f'it is for an image of {told[0]}x{told[1]} px, and {image} has '
            f'{size[0]}x{size[1]} px'
        )
