"""Rename in the records of a grid what has moved since they were written.

``python -m benchmarks.migrate RUNS``, RUNS being the folder that holds the
records, one JSON file per training. Only names of modules and of config files
change; the settings, the metrics and all else stay.
"""

import argparse
from pathlib import Path

from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import read_json, write_json

# Before 0.2 the benchmarks were part of the package.
RENAMED = {
    'mmdet_metaanchor.quality.ablations': 'benchmarks.quality.ablations',
    'configs/benchmark/': 'benchmarks/configs/',
}


def renamed(value):
    """A JSON value with the names of today.

    Args:
        value (dict | list | str | ...): What a record holds.

    Returns:
        dict | list | str | ...: The same, with every name of ``RENAMED`` at
        the beginning of a string replaced.
    """
    if isinstance(value, dict):
        return {key: renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item) for item in value]
    if isinstance(value, str):
        for old, new in RENAMED.items():
            if value.startswith(old):
                return new + value[len(old) :]
    return value


def migrate(folder: Path) -> list[Path]:
    """Rename in every record of a folder.

    Args:
        folder (Path): It holds one JSON file per training.

    Returns:
        list[Path]: The files that were rewritten.

    Raises:
        FileNotFoundError: The folder holds no JSON file.
        ValueError: A file is not JSON.
    """
    paths = sorted(folder.glob('*.json'))
    if not paths:
        raise FileNotFoundError(f'{folder} holds no records (*.json)')
    changed = []
    for path in paths:
        content = read_json(path)
        if renamed(content) != content:
            write_json(path, renamed(content))
            changed.append(path)
    return changed


def main() -> None:
    """What the module does as a program."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.migrate', description=__doc__
    )
    parser.add_argument('runs', type=Path, help='folder of records')
    with one_line_errors():
        changed = migrate(parser.parse_args().runs)
    print(f'{len(changed)} records rewritten')


if __name__ == '__main__':
    main()
