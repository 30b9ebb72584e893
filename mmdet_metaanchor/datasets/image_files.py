"""Which image files a detector cannot read, found without decoding them."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import mmcv
import numpy as np
from mmcv.transforms import Compose
from mmengine.fileio import get
from PIL import Image

# The last bytes of a file of these formats.
ENDS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}
BITS_OF_PNG = 24  # the byte that holds them
ORIENTATION = 0x0112  # the EXIF tag; from 5 on, width and height change places
# Files are waited for, not computed with.
THREADS = 8
UNREADABLE = 'is truncated, damaged or no image'


def image_faults(
    images: list[tuple[str, float, float]], color_type: str = 'color'
) -> list[str | None]:
    """:func:`image_fault` of many images.

    Args:
        images (list[tuple[str, float, float]]): Path, width and height.
        color_type (str): See :func:`image_fault`.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(
            pool.map(
                lambda image: image_fault(image[0], image[1:], color_type),
                images,
            )
        )


def image_fault(
    path: str, size: tuple[float, float], color_type: str = 'color'
) -> str | None:
    """What is wrong with an image file.

    Of JPEG and PNG the header and the last bytes are read. A file of another
    format, or without the end that its format has, is decoded in full.

    Args:
        path (str): The file.
        size (tuple[float, float]): (width, height) that it must have, px.
        color_type (str): That of MMCV's ``LoadImageFromFile``, which tells
            whether it turns the image as EXIF says, and keeps 16 bits.

    Returns:
        str | None: The fault, in words that follow the name of the file, or
        ``None``.
    """
    try:
        if os.path.getsize(path) == 0:
            return 'is empty'
    except FileNotFoundError:
        return 'does not exist'
    except OSError as error:
        return f'cannot be opened: {error.strerror}'
    try:
        real, deep, whole = _header(path, _turns(color_type))
    # Pillow raises what it likes on bytes that it does not understand. Where
    # it does, OpenCV decides, which is what reads the image in the end.
    except Exception:
        real, deep, whole = None, False, None
    if whole is False and _lacks_pixels(path):
        return UNREADABLE
    if not whole:
        image, raw = decode(path, color_type), decode(path)
        for array in (image, raw):
            if isinstance(array, str):
                return array
        real, deep = image.shape[1::-1], raw.dtype != np.uint8
    if deep and color_type != 'unchanged':
        return 'has more than 8 bits per channel, of which 8 would be used'
    if tuple(real) != tuple(size):
        return 'is {}x{} px, and {}x{} px in the JSON'.format(*real, *size)
    return None


def color_type_of(pipeline: Compose) -> str:
    """``color_type`` of the step of a pipeline that reads images."""
    types = (getattr(step, 'color_type', None) for step in pipeline.transforms)
    return next(filter(None, types), 'color')


def decode(
    path: str, color_type: str = 'unchanged', backend_args: dict | None = None
) -> np.ndarray | str:
    """An image as MMCV reads it, or what is wrong with its file."""
    try:
        image = mmcv.imfrombytes(
            get(path, backend_args=backend_args), flag=color_type
        )
    except (OSError, ValueError, cv2.error) as error:
        return f'cannot be read ({type(error).__name__})'
    return UNREADABLE if image is None else image


def turned_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) in px of an image as MMDetection loads it.

    A camera that was held upright may store the image lying, with a note to
    turn it, which loading does.
    """
    turned = image.getexif().get(ORIENTATION, 1) >= 5
    return image.size[::-1] if turned else image.size


def _turns(color_type: str) -> bool:
    return color_type != 'unchanged' and 'ignore' not in color_type


def _lacks_pixels(path: str) -> bool:
    """Whether Pillow misses some; an OpenCV may make grey ones up."""
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return True
    return False


def _header(
    path: str, turns: bool
) -> tuple[tuple[int, int], bool, bool | None]:
    """(width, height), whether beyond 8 bits, whether the end is there.

    The last is ``None`` for formats whose end is not known.
    """
    with open(path, 'rb') as file, Image.open(file) as image:
        size, end = image.size, ENDS.get(image.format)
        if end is None:
            return size, False, None
        # To look for EXIF behind the pixels, Pillow would decode a PNG.
        if turns and (image.format != 'PNG' or 'exif' in image.info):
            size = turned_size(image)
        file.seek(BITS_OF_PNG)
        deep = image.format == 'PNG' and file.read(1) == b'\x10'
        file.seek(-len(end), os.SEEK_END)
        return size, deep, file.read() == end
