"""Reading JSON, and writing result files: whole, or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; ``path`` is replaced at the end.

    If the block raises, or the process or the machine dies in it, ``path``
    stays as it was.
    """
    part = path.with_name(f'.{path.name}.part')
    try:
        yield part
        if part.is_file():
            with open(part, 'r+b') as file:  # Windows refuses with 'rb'
                os.fsync(file.fileno())  # before the name is given
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@register_backend('whole', force=True)
class WholeBackend(LocalBackend):
    """MMEngine's files on disk, written whole or not at all.

    For checkpoints: ``CheckpointHook(backend_args=dict(backend='whole'))``.
    MMEngine writes over what is there, and a process that is killed leaves
    half of it.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, in the place of what was there.

        Raises:
            OSError: It cannot be written; what was there is still there.
        """
        with replacing(Path(filepath)) as part:
            super().put(obj, part)


def write_json(path: Path, content: dict) -> None:
    """Write ``content`` in one go."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding='utf-8')


def read_json(path: str | Path, name: str | Path | None = None):
    """What a JSON file holds.

    Args:
        path (str | Path): The file.
        name (str | Path, optional): How errors name it. Defaults to ``path``.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    # The first is of text, of bytes or of numbers that are none.
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name or path} is not JSON: {error}') from None


def digest(content: bytes) -> str:
    """12 hexadecimal digits that two contents hardly have in common."""
    return hashlib.sha256(content).hexdigest()[:12]


def digest_file(path: str | Path) -> str | None:
    """:func:`digest` of a file, or ``None`` if it is not on this machine."""
    path = Path(path)
    return digest(path.read_bytes()) if path.is_file() else None


def digest_json(value) -> str:
    """:func:`digest` of a value as JSON, whatever the order of its keys."""
    text = json.dumps(as_json(value), sort_keys=True)
    return digest(text.encode())


def as_json(value):
    """A value as a JSON file gives it back: tuples are lists there.

    What JSON does not know becomes its ``str``.
    """
    return json.loads(json.dumps(value, default=str))


def go_on_from(path: Path, settings: dict) -> dict:
    """What an interrupted run has written, to go on from.

    Args:
        path (Path): A JSON file, which may not be there yet.
        settings (dict): What decides the run.

    Returns:
        dict: The content of the file, or only ``dict(settings=settings)``.

    Raises:
        ValueError: The file is of a run with other settings.
    """
    settings = as_json(settings)
    if not path.is_file():
        return dict(settings=settings)
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} holds no run, but a {type(content).__name__}'
        )
    before = content.get('settings', {})
    others = [
        name
        for name in before.keys() | settings
        if before.get(name) != settings.get(name)
    ]
    if others:
        raise ValueError(
            f'{path} is of a run with other settings '
            f'({", ".join(sorted(others))}); remove it, or choose another '
            'folder'
        )
    return content
