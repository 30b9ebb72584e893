"""Anchors files, which all tools read and write."""

from pathlib import Path

from ..runtime.command_line import read_literal
from ..runtime.files import read_json, write_json
from .customize import Anchors

FORMAT, VERSION = 'anchors_version', 1


def parse_anchors(text: str) -> Anchors:
    """Read anchors for :func:`customize_anchors` from a command line.

    Args:
        text (str): A literal, e.g. ``[[(32, 32)], [(64, 64)]]`` or
            ``{'scales': [4], 'ratios': [0.5, 1, 2]}``, or the name of a
            JSON file, see :func:`read_anchors`.

    Raises:
        FileNotFoundError: ``text`` names a JSON file that is not there.
        ValueError: It is neither a literal nor the name of such a file.
    """
    if text.endswith('.json'):
        return read_anchors(text)
    try:
        return read_literal(text)
    except ValueError:
        raise ValueError(
            'anchors must be a literal such as [[(32, 32)], [(64, 64)]] or '
            "{'scales': [4], 'ratios': [1.0]}, or a .json file, got "
            f'{text!r}'
        ) from None


def read_anchors(path: str | Path) -> Anchors:
    """Read an anchors file.

    Args:
        path (str | Path): A JSON file as :func:`write_anchors` makes it, or
            one that holds nothing but the anchors.

    Returns:
        dict | list: Anchors for :func:`customize_anchors`.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is not JSON, of another version, or lacks anchors.
    """
    content = read_json(path)
    if not isinstance(content, dict) or FORMAT not in content:
        return content
    if content[FORMAT] != VERSION:
        raise ValueError(
            f'{path} is an anchors file of version {content[FORMAT]}, and '
            f'only version {VERSION} can be read'
        )
    if 'anchors' not in content:
        raise ValueError(f'{path} is an anchors file without "anchors"')
    return content['anchors']


def write_anchors(path: str | Path, anchors: Anchors, **notes) -> None:
    """Write an anchors file, in one go.

    It is JSON, ``{"anchors_version": 1, "anchors": ...}``, with ``notes``
    beside them for whoever reads it.

    Args:
        path (str | Path): The file.
        anchors (dict | list[list[tuple[float, float]]]): As
            :func:`customize_anchors` takes them.
        **notes: How they were found, JSON values.
    """
    content = {FORMAT: VERSION, 'anchors': anchors, **notes}
    write_json(Path(path), content)
