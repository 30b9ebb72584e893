"""Time and memory under load, beside stock: ``python -m benchmarks.load``.

1 000 ground truths in an image, 500 anchors per cell, an image of 4 000 px:
each for the small RetinaNet of the digits and its MetaAnchor twin, with random
weights and images of noise. Writes a Markdown table.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from benchmarks import tables
from benchmarks.machine import describe_commit, describe_machine
from benchmarks.speed.compare import measure
from benchmarks.speed.timing import median_ratio
from benchmarks.speed.variants import OBJECTS, RUNS, STOCK, Settings
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import replacing
from mmdet_metaanchor.runtime.runner import keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]
NAMES = ('retinanet_r18-w16_digits', 'meta-retinanet_r18-w16-default_digits')
# 20 scales per octave, and 25 ratios from 1/5 to 5.
MANY = dict(
    scales_per_octave=20, ratios=[5 ** (i / 12 - 1) for i in range(25)]
)


@dataclass(frozen=True)
class Load(Settings):
    """How to measure, and how many ground truths an image has."""

    objects: int = OBJECTS


class Case(NamedTuple):
    """A load, by what it differs in from the first case."""

    name: str
    image_size: tuple[int, int] = (240, 320)  # (height, width), px
    objects: int = OBJECTS
    anchors: dict = {}  # noqa: RUF012


CASES = (
    Case('7 ground truths, 9 anchors per cell, 320x240 px'),
    Case('1 000 ground truths', objects=1000),
    Case('500 anchors per cell', anchors=MANY),
    Case('an image of 4 000x3 000 px', image_size=(3000, 4000)),
)


def read_twins(case: Case) -> tuple[Config, Config]:
    """Configs of stock and of MetaAnchor, with the same anchors."""
    twins = []
    for name in NAMES:
        cfg = Config.fromfile(ROOT / f'benchmarks/configs/{name}.py')
        cfg.model.bbox_head.anchor_generator.update(
            copy.deepcopy(case.anchors)
        )
        twins.append(cfg)
    return tuple(twins)


def compare(
    cases: tuple[Case, ...], pairs: int, device: str
) -> list[tuple[Case, dict, dict]]:
    """Of every case, what :func:`.speed.compare.measure` gives of both."""
    results = []
    for case in cases:
        settings = Load(
            case.image_size, 1, pairs, device=device, objects=case.objects
        )
        configs = read_twins(case)
        cells = [
            measure(name, configs, settings, case.name)
            for name in (STOCK, 'default')
        ]
        results.append((case, *cells))
    return results


def load_table(results: list[tuple[Case, dict, dict]]) -> list[list[str]]:
    """Rows of cells; the first is the head."""
    rows = [
        [
            'load',
            'what',
            'stock, s',
            'MetaAnchor, s',
            'time / stock',
            'stock, MB',
            'MetaAnchor, MB',
            'memory / stock',
        ]
    ]
    for case, stock, ours in results:
        for what in RUNS:
            time = median_ratio(ours['seconds'][what])
            bytes_of = [cell['memory'][what] for cell in (stock, ours)]
            rows.append(
                [
                    case.name,
                    what,
                    f'{time["stock"]:.3f}',
                    f'{time["ours"]:.3f}',
                    f'{time["ratio"]:.2f} ({time["lowest"]:.2f} to '
                    f'{time["highest"]:.2f})',
                    *(f'{number / 1e6:.0f}' for number in bytes_of),
                    f'{bytes_of[1] / bytes_of[0]:.2f}',
                ]
            )
    return rows


def write_load(path: Path, rows: list[list[str]], pairs: int) -> None:
    """The table, and what it was measured on and how."""
    machine = describe_machine()
    text = f"""# Under load

One image per step, of noise; both detectors have random weights. Each row
differs from the first two in what it names. Seconds are medians of {pairs}
measurements of stock and MetaAnchor in turns; the ratio is the median of
their ratios, with the lowest and the highest. Memory is the most that a
process of its own has held in RAM, Python and libraries included; on a GPU, it
is what PyTorch has allocated there for the detector.

{tables.markdown(rows)}

`{NAMES[0]}.py` and `{NAMES[1]}.py` of benchmarks/configs;
{torch.get_num_threads()} of {machine['cores']} cores, \
{machine['device']}, torch {machine['torch']}; {date.today()}, commit \
{describe_commit()}; `python -m benchmarks.load`.
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text, encoding='utf-8')


def main(say: Callable[[str], None] = print) -> None:
    """What the module does as a program."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.load', description=__doc__
    )
    parser.add_argument('--pairs', type=int, default=5, help='measurements')
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks/results/load.md'
    )
    args = parser.parse_args()
    keep_freed_memory()  # as in training
    init_default_scope('mmdet')
    rows = load_table(compare(CASES, args.pairs, get_device()))
    write_load(args.out, rows, args.pairs)
    tables.show(rows)
    say(f'{args.out}')


if __name__ == '__main__':
    with one_line_errors():
        main()
