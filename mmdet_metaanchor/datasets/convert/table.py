"""Tables: CSV files with a row per box."""

import csv
from collections import defaultdict
from pathlib import Path

from .boxes import CORNERS, Annotated, Box, Read, collect, read_corners
from .images import ImageFolder

# The columns of a table, and other names that programs give them.
COLUMNS = {
    'file': ('filename', 'file_name', 'image', 'path'),
    'class': ('class_name', 'label', 'name'),
    'xmin': ('x1',),
    'ymin': ('y1',),
    'xmax': ('x2',),
    'ymax': ('y2',),
}
SEPARATORS = ',;\t'


def read_table(
    path: str | Path, images: ImageFolder, from_one: bool = False
) -> Read:
    """Read a CSV file with a row per box, and a line of names above.

    The columns are those of ``COLUMNS``, in any order among any others,
    separated by commas, semicolons or tabs; where they are not separated by
    commas, a number may have a decimal comma. A row with nothing but a file
    is an image without objects.

    Args:
        path (str | Path): The file.
        images (ImageFolder): The images.
        from_one (bool): As for :func:`.read_corners`.

    Returns:
        Read: The images that the file names.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It lacks columns, or is not UTF-8.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path}: its text is not UTF-8') from None
    head = text.partition('\n')[0]
    separator = max(SEPARATORS, key=head.count)
    reader = csv.reader(text.splitlines(), delimiter=separator)
    columns = _find_columns(path, next(reader, []))
    rows = defaultdict(list)  # by image, with the numbers of their lines
    problems = []
    for row in reader:
        place = f'{path}, line {reader.line_num}'
        if not any(row):
            continue
        cells = {
            name: row[i].strip() if i < len(row) else ''
            for name, i in columns.items()
        }
        try:
            rows[images.find(cells['file'])].append((place, cells))
        except ValueError as error:
            problems.append(f'{place}: {error}')

    def parse(image: str) -> Annotated:
        size = images.size(image)
        boxes = []
        for place, cells in rows[image]:
            texts = [cells[corner] for corner in CORNERS]
            if separator != ',':
                texts = [text.replace(',', '.') for text in texts]
            if not any([cells['class'], *texts]):
                continue
            try:
                if not cells['class']:
                    raise ValueError('the box has no class')
                corners = read_corners(texts, size, from_one)
                boxes.append(Box(cells['class'], corners))
            except ValueError as error:
                problems.append(f'{place}: {error}')
        return Annotated(image, size, boxes)

    read = collect(rows, parse)
    return Read(read.images, read.problems + problems)


def _find_columns(path: Path, head: list[str]) -> dict[str, int]:
    """Where the columns are.

    Raises:
        ValueError: Some are not there.
    """
    names = [name.strip().lower() for name in head]
    found = {}
    for column, others in COLUMNS.items():
        for name in (column, *others):
            if name in names:
                found[column] = names.index(name)
                break
    if lacking := COLUMNS.keys() - found.keys():
        lacking = ', '.join(name for name in COLUMNS if name in lacking)
        raise ValueError(
            f'{path} has no column {lacking}; its first line is '
            f'{",".join(head)[:200]!r}'
        )
    return found
