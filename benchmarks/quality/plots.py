"""A table as a plot: dots per seed with mean and spread, or lines."""

from pathlib import Path

from matplotlib.figure import Figure

from mmdet_metaanchor.anchors.drawing import save

# Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = (
    '#0072B2',
    '#D55E00',
    '#009E73',
    '#CC79A7',
    '#E69F00',
    '#56B4E9',
    '#000000',
)
MARKERS = 'osD^vPX'
STEP = 0.16  # inches between the columns of a row


def draw_table(path: Path, table: dict, metric: str = 'mAP') -> None:
    """Rows from top to bottom, a colour per column.

    Args:
        path (Path): The PNG file.
        table (dict): One of those of :func:`.figures.tabulate`.
        metric (str): What its cells are of, for the axis.
    """
    columns = table['columns']
    rows = {name: row for name, row in table['rows'].items() if any(row)}
    gap = 1.2  # of a row, in columns
    height = STEP * (len(columns) + gap) * len(rows) + 1.2
    figure = Figure(figsize=(9, height), layout='constrained')
    axes = figure.subplots()
    places = []
    for index, entries in enumerate(rows.values()):
        top = index * (len(columns) + gap)
        places.append(top + (len(columns) - 1) / 2)
        if index:
            axes.axhline(top - (1 + gap) / 2, color='0.9', linewidth=0.8)
        for column, entry in enumerate(entries):
            if entry is not None:
                _draw_entry(axes, top + column, column, entry)
    for column, name in enumerate(columns):
        axes.plot(
            [],
            [],
            MARKERS[column % len(MARKERS)],
            color=COLOURS[column % len(COLOURS)],
            label=name,
        )
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set(
        xlabel=f'{metric} on val (%); dots: seeds; bars: standard deviation'
    )
    axes.set_title(table['title'])
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x', alpha=0.3)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    if len(columns) > 1:
        axes.legend(loc='upper left', bbox_to_anchor=(1.0, 1.0), frameon=False)
    save(figure, path)


def draw_lines(path: Path, table: dict, metric: str = 'mAP') -> None:
    """A line per row, over the columns, with the spread as bars.

    Args:
        path (Path): The PNG file.
        table (dict): As for :func:`draw_table`.
        metric (str): The same.
    """
    figure = Figure(figsize=(9, 4.5), layout='constrained')
    axes = figure.subplots()
    for index, (name, entries) in enumerate(table['rows'].items()):
        places = [i for i, entry in enumerate(entries) if entry is not None]
        axes.errorbar(
            places,
            [entries[i]['mean'] for i in places],
            # A single run has no spread.
            yerr=[entries[i]['spread'] or 0 for i in places],
            fmt=MARKERS[index % len(MARKERS)] + '-',
            color=COLOURS[index % len(COLOURS)],
            capsize=3,
            label=name,
        )
    axes.set_xticks(range(len(table['columns'])), table['columns'])
    axes.set(ylabel=f'{metric} on val (%); bars: standard deviation')
    axes.set_ylim(bottom=0)
    axes.set_title(table['title'])
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    save(figure, path)


def _draw_entry(axes, place: float, column: int, entry: dict) -> None:
    colour = COLOURS[column % len(COLOURS)]
    values = list(entry['seeds'].values())
    axes.plot(
        values, [place] * len(values), '.', color=colour, alpha=0.5, zorder=2
    )
    axes.errorbar(
        entry['mean'],
        place,
        xerr=entry['spread'],
        fmt=MARKERS[column % len(MARKERS)],
        color=colour,
        capsize=3,
        zorder=3,
    )
