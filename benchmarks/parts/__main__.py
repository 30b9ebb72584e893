"""Print time and memory of assigners and coders beside MMDetection's own."""

import argparse

import torch
from mmengine.device import get_device

from benchmarks import tables
from benchmarks.machine import describe_machine
from benchmarks.parts.compare import (
    Comparison,
    compare_assigners,
    compare_coders,
)
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.runner import keep_freed_memory

HEAD = ['part', 'priors', 'boxes', 'ms', 'stock, ms', 'time, stock / ours']
HEAD += ['MB', 'stock, MB', 'memory, stock / ours']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.parts',
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        default=(800, 1333),
        metavar=('HEIGHT', 'WIDTH'),
        help='px',
    )
    parser.add_argument(
        '--boxes',
        type=int,
        nargs='+',
        default=[1, 10, 100, 1000],
        help='numbers of ground truths',
    )
    parser.add_argument(
        '--priors-per-cell',
        type=int,
        nargs='+',
        default=[9, 81],
        help='square numbers',
    )
    parser.add_argument('--pairs', type=int, default=5, help='measurements')
    parser.add_argument(
        '--max-memory',
        type=float,
        default=8,
        help='GB; the stock assigner is left out where it needs more',
    )
    args = parser.parse_args()
    if args.pairs < 1:
        parser.error(f'--pairs must be positive, got {args.pairs}')
    return args


def print_table(title: str, rows: list[Comparison]) -> None:
    cells = [HEAD]
    for row in rows:
        cell = [row.part, row.priors, row.boxes, f'{row.seconds * 1e3:.1f}']
        stock = ['left out', '', f'{row.memory / 1e6:.1f}', '', '']
        if row.ratio is not None:
            stock = [
                f'{row.stock_seconds * 1e3:.1f}',
                f'{1 / row.ratio:.1f}',
                f'{row.memory / 1e6:.1f}',
                f'{row.stock_memory / 1e6:.1f}',
                f'{row.stock_memory / row.memory:.1f}',
            ]
        cells.append([str(value) for value in cell + stock])
    print(f'\n{title}\n\n{tables.markdown(cells)}')


def main() -> None:
    args = parse_args()
    device, machine = get_device(), describe_machine()
    keep_freed_memory()  # as in training
    assigners = [
        row
        for number in args.priors_per_cell
        for row in compare_assigners(
            number,
            args.boxes,
            tuple(args.image_size),
            args.pairs,
            args.max_memory * 1e9,
            device,
        )
    ]
    coders = list(compare_coders([1000, 200_000], args.pairs, device))
    height, width = args.image_size
    print_table(
        f'Assigners beside MaxIoUAssigner, {height} x {width} px; torch '
        f'{torch.__version__}, {machine["device"]}, '
        f'{torch.get_num_threads()} threads; medians of '
        f'{args.pairs} pairs',
        assigners,
    )
    print_table(
        'Coders beside DeltaXYWHBBoxCoder',
        coders,
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
