"""A table on the screen and in Markdown."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as wide as it is wherever it goes.

    Args:
        rows (Sequence[Sequence[str]]): The first is its head. The first two
            columns are names, the others numbers.
    """
    head, *body = rows
    table = Table(box=box.SIMPLE)
    for index, heading in enumerate(head):
        table.add_column(
            heading, justify='left' if index < 2 else 'right', no_wrap=True
        )
    for row in body:
        table.add_row(*row)
    # In a file there is no width to keep to.
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head, cells may have lines."""
    head, *body = rows
    lines = [head, ['---'] * len(head), *body]
    rows = (f'| {" | ".join(line)} |' for line in lines)
    return '\n'.join(row.replace('\n', '<br>') for row in rows)
