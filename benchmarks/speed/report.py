"""Tables and a picture of what -m benchmarks.speed has measured."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import tables
from mmdet_metaanchor.anchors.drawing import CLASS_COLOURS, save
from mmdet_metaanchor.runtime.files import replacing

from .timing import median_ratio
from .variants import NAMES, OBJECTS, RIVALS, RUNS, STOCK, VARIANTS

Rows = list[list[str]]
# One per rival in every picture: the darker ones, seen as thin lines.
COLOURS = dict(zip(RIVALS, CLASS_COLOURS[2:], strict=False))
WIDTH = 0.8  # of the variants of a number of priors, whose centres are 1 apart


def speed_table(cells: Sequence[dict]) -> Rows:
    """Median seconds, and median and range of the ratios to stock.

    Args:
        cells (Sequence[dict]): As :func:`.compare.compare_variants`
            gives them. The time of stock is the median beside all variants.

    Returns:
        list[list[str]]: The head and one row per cell.
    """
    head = ['priors', 'variant']
    for what in RUNS:
        head += [f'{what}, s', '/ stock', 'range']
    rows = [head]
    for cell in _sorted(cells):
        row = [str(cell['priors']), cell['variant']]
        for what in RUNS:
            if cell['variant'] == STOCK:
                row += _stock_times(cells, cell['priors'], what)
            elif what in cell['seconds']:
                times = median_ratio(cell['seconds'][what])
                row += [
                    f'{times["ours"]:.3f}',
                    f'{times["ratio"]:.3f}',
                    f'{times["lowest"]:.3f} to {times["highest"]:.3f}',
                ]
            else:
                row += [''] * 3
        rows.append(row)
    return rows


def cost_table(cells: Sequence[dict]) -> Rows:
    """Parameters, operations and memory; see :func:`speed_table`."""
    head = ['priors', 'variant', 'parameters, M', 'GFLOPs']
    rows = [head + [f'{what}, MB' for what in RUNS]]
    for cell in _sorted(cells):
        flops, memory = cell['flops'], cell['memory']
        rows.append(
            [
                str(cell['priors']),
                cell['variant'],
                f'{cell["parameters"] / 1e6:.2f}',
                '' if flops is None else f'{flops / 1e9:.1f}',
                *(
                    f'{memory[what] / 1e6:.0f}' if what in memory else ''
                    for what in RUNS
                ),
            ]
        )
    return rows


def write_speed_report(out_dir: Path, content: dict) -> None:
    """Write ``speed.md`` and ``speed.png``.

    Args:
        out_dir (Path): The folder.
        content (dict): As :func:`.compare.compare_variants` gives it.
    """
    settings, cells = content['settings'], content['cells']
    height, width = settings['image_size']
    machine = settings['machine']
    with replacing(out_dir / 'speed.md') as part:
        text = TEMPLATE.format(
            speed=tables.markdown(speed_table(cells)),
            costs=tables.markdown(cost_table(cells)),
            # Results of before other families have no such setting.
            family=NAMES[settings.get('family', 'retinanet')],
            size=f'{height}x{width}',
            batch_size=settings['batch_size'],
            pairs=settings['pairs'],
            warm_up=settings['warm_up'],
            objects=OBJECTS,
            network=settings['dtype']
            + (', compiled' if settings['compile'] else ''),
            machine=f'{machine["device"]}, {machine["cores"]} CPU cores, '
            f'threads: {settings["threads"]}',
            memory='what PyTorch allocates on the GPU for the detector'
            if settings['device'] == 'cuda'
            else 'all that a process of its own holds in RAM, Python and its '
            'libraries included',
            versions=', '.join(
                f'{name} {version}'
                for name, version in settings['versions'].items()
            ),
            commits=', '.join(sorted({str(cell['commit']) for cell in cells})),
        )
        part.write_text(text, encoding='utf-8')
    draw_ratios(out_dir / 'speed.png', cells)


def draw_ratios(path: Path, cells: Sequence[dict]) -> None:
    """Ratios to stock by number of priors: medians, and lines as ranges."""
    figure = Figure(figsize=(10, 4.5), layout='constrained')
    drawn = {}
    for axes, what in zip(figure.subplots(1, 2), RUNS, strict=True):
        _draw_run(axes, what, [c for c in cells if what in c['seconds']])
        handles, names = axes.get_legend_handles_labels()
        drawn.update(zip(names, handles, strict=True))
    names = [name for name in RIVALS if name in drawn]
    figure.legend(
        [drawn[name] for name in names],
        names,
        loc='outside lower center',
        ncols=len(RIVALS),
        frameon=False,
    )
    save(figure, path)


def _draw_run(axes: Axes, what: str, cells: Sequence[dict]) -> None:
    numbers = sorted({cell['priors'] for cell in cells})
    names = [v for v in RIVALS if v in {cell['variant'] for cell in cells}]
    axes.axhline(1, color='black', linewidth=1)
    for border in range(len(numbers) - 1):
        axes.axvline(border + 0.5, color='black', linewidth=0.5, alpha=0.3)
    for index, name in enumerate(names):
        mine = [cell for cell in _sorted(cells) if cell['variant'] == name]
        times = [median_ratio(cell['seconds'][what]) for cell in mine]
        ratios = [row['ratio'] for row in times]
        axes.errorbar(
            [
                numbers.index(cell['priors'])
                + WIDTH * ((index + 0.5) / len(names) - 0.5)
                for cell in mine
            ],
            ratios,
            yerr=[
                [row['ratio'] - row['lowest'] for row in times],
                [row['highest'] - row['ratio'] for row in times],
            ],
            fmt='o',
            capsize=3,
            label=name,
            color=COLOURS[name],
        )
    axes.set(
        title=what,
        xlabel='priors of a cell',
        ylabel='time / stock',
        xticks=range(len(numbers)),
        xticklabels=numbers,
    )
    axes.grid(axis='y', alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)


def _sorted(cells: Sequence[dict]) -> list[dict]:
    order = list(VARIANTS)
    return sorted(
        cells, key=lambda cell: (cell['priors'], order.index(cell['variant']))
    )


def _stock_times(cells: Sequence[dict], priors: int, what: str) -> list[str]:
    seconds = [
        stock
        for cell in cells
        if cell['priors'] == priors
        for stock, _ in cell['seconds'].get(what, [])
    ]
    return [f'{statistics.median(seconds):.3f}' if seconds else '', '', '']


TEMPLATE = """# MetaAnchor beside the stock detector

{family}, 80 classes, {size} px, {network}.
{machine}.

Stock and a variant run in turns, {pairs} pairs after {warm_up} that warm up:
medians of the seconds, medians and ranges of the ratios of the pairs. An
inference takes one image; images of a training step: {batch_size}. They are
noise, with {objects} objects each. Weights are random and hardly any score
passes the threshold, so that suppression has next to nothing to do; the
learning rate is 0, so that this stays so.

- default: MetaAnchor with W2 of rank 8, the weights generated for up to 9
  priors and a mixture of maps computed for more
- rank4: with W2 of rank 4
- full: with a full W2, as in the paper; the weights are generated every time
- baked: the stock model that `tools/bake_anchors.py` makes
- data-dependent: the weights depend on the image too
- assigner, rank4-assigner, data-dependent-assigner: trained with
  `FasterRCNNAssigner`

## Time

{speed}

![Ratios to stock](speed.png)

## Costs

{costs}

GFLOPs are of convolutions and matrix products in one inference; a
multiplication and an addition are two. Memory is the peak of
{memory}.

Versions: {versions}. Commits of mmdet_metaanchor: {commits}
"""
