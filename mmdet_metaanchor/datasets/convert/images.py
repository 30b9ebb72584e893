"""A folder of images: which file a name means, and its size."""

import unicodedata
from collections import defaultdict
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..image_files import turned_size

SUFFIXES = {'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}


class ImageFolder:
    """The images in a folder and the folders below it.

    Names are compared in one Unicode form, whichever the file system has.

    Args:
        folder (str | Path): The folder.

    Raises:
        FileNotFoundError: It is not there, or holds no images.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'{folder} is not a folder of images')
        self.names = sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob('*')
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if not self.names:
            raise FileNotFoundError(
                f'{folder} holds no images, which end in '
                f'{", ".join(sorted(SUFFIXES))}'
            )
        self._by_name = defaultdict(list)
        for name in self.names:
            path = Path(name)
            stem = path.with_suffix('').as_posix()
            for key in {name, stem, path.name, path.stem}:
                self._by_name[_form(key)].append(name)

    def has(self, name: str) -> bool:
        """Whether an image has this name, with or without suffix."""
        return _form(name) in self._by_name

    def find(self, name: str) -> str:
        """The image that a name means, with or without folder and suffix.

        Args:
            name (str): A path relative to the folder or the end of one.

        Returns:
            str: Its path relative to the folder, with ``/``.

        Raises:
            ValueError: No image has this name, or several have.
        """
        name = name.replace('\\', '/')
        for key in (name, name.rpartition('/')[2]):
            found = [
                path
                for path in self._by_name.get(_form(key), ())
                if _folders_agree(path, name)
            ]
            if len(found) == 1:
                return found[0]
            if found:
                raise ValueError(
                    f'{name} may be {" or ".join(found)} of {self.folder}'
                )
        raise ValueError(f'there is no image {name} in {self.folder}')

    def size(self, name: str) -> tuple[int, int]:
        """(width, height) in px of an image, see :func:`.turned_size`.

        Raises:
            ValueError: It is not an image that can be read.
        """
        try:
            with Image.open(self.folder / name) as image:
                return turned_size(image)
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise ValueError(
                f'{self.folder / name} is not an image to be read: {error}'
            ) from None


def _folders_agree(path: str, name: str) -> bool:
    """Whether the folders of one are the end of those of the other."""
    return all(
        _form(one) == _form(other)
        for one, other in zip(
            reversed(Path(path).parent.parts),
            reversed(Path(name).parent.parts),
            strict=False,
        )
    )


def _form(name: str) -> str:
    return unicodedata.normalize('NFC', name)
