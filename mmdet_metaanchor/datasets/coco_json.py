"""Reading COCO JSON files that have all keys, and no id twice."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..runtime.files import read_json

# Targets are float32, in which larger numbers are infinite.
MAX_NUMBER = float(np.finfo(np.float32).max)
MAX_NAMED = 5


def is_id(value) -> bool:
    """Whether a value of a JSON file can be an id."""
    return isinstance(value, (int, float, str)) and value == value


def is_number(value) -> bool:
    """Whether it is a number that is finite in single precision."""
    return isinstance(value, (int, float)) and abs(value) <= MAX_NUMBER


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_any(_) -> bool:
    return True


# What every entry has to hold. What an annotation is of is looked at later.
KEYS = dict(
    images=dict(
        id=is_id, file_name=_is_text, width=is_number, height=is_number
    ),
    categories=dict(id=is_id, name=_is_text),
    annotations=dict(
        id=is_id, image_id=_is_any, category_id=_is_any, bbox=_is_any
    ),
)


def read_coco(
    path: str | Path,
    name: str | Path | None = None,
    needed: Sequence[str] = tuple(KEYS),
) -> dict:
    """Read a COCO JSON that has all keys and no id twice.

    Args:
        path (str | Path): The file.
        name (str | Path, optional): How errors name it. Defaults to ``path``.
        needed (Sequence[str]): Lists that it must hold; of COCO's own files
            those of test images have no annotations. Defaults to all.

    Returns:
        dict: Lists of ``images``, ``categories`` and ``annotations``.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It is not JSON or not of COCO, an entry lacks a key, or an
            id repeats, by which images or classes would be mixed up.
    """
    name = path if name is None else name
    content = read_json(path, name)
    if not isinstance(content, dict):
        raise ValueError(
            f'{name} is not a COCO JSON, but a {type(content).__name__}'
        )
    for kind, keys in KEYS.items():
        if kind not in needed:
            content.setdefault(kind, [])
        entries = content.get(kind)
        if not isinstance(entries, list):
            raise ValueError(
                f'{name} is not a COCO JSON: it holds no list of {kind}'
            )
        for key, is_right in keys.items():
            _check_key(name, kind, entries, key, is_right)
        counts = Counter(entry['id'] for entry in entries)
        repeated = [value for value, count in counts.items() if count > 1]
        if repeated:
            raise ValueError(
                f'{name}: ids of its {kind} repeat: {named(repeated)}'
            )
    return content


def _check_key(name, kind, entries, key, is_right) -> None:
    wrong = [
        place
        for place, entry in enumerate(entries)
        if not isinstance(entry, dict)
        or key not in entry
        or not is_right(entry[key])
    ]
    if wrong:
        raise ValueError(
            f'{name}: {len(wrong)} of {len(entries)} {kind} have no usable '
            f'{key!r}, at places {named(wrong)} of their list, from 0'
        )


def named(values: Sequence) -> str:
    """The first few of them, and how many more there are."""
    more = len(values) - MAX_NAMED
    text = ', '.join(map(str, values[:MAX_NAMED]))
    return f'{text} and {more} more' if more > 0 else text
