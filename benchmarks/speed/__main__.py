"""Time and costs of MetaAnchor's variants beside a stock detector.

Writes speed.json, speed.md and speed.png. The same command goes on from where
it was interrupted.
"""

import argparse
from pathlib import Path

from mmengine.device import get_device

from benchmarks import tables
from benchmarks.speed.compare import compare_variants
from benchmarks.speed.report import (
    cost_table,
    speed_table,
    write_speed_report,
)
from benchmarks.speed.variants import (
    FAMILIES,
    GRIDS,
    NAMES,
    RIVALS,
    RIVALS_OF_FAMILIES,
    Settings,
    read_configs,
    read_family,
)
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.runner import keep_freed_memory


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.speed',
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    # What fits: a quarter of an hour on 2 cores; COCO's size on a GPU.
    on_gpu = get_device() == 'cuda'
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        default=(800, 1333) if on_gpu else (320, 480),
        metavar=('HEIGHT', 'WIDTH'),
        help='px',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=2 if on_gpu else 1,
        help='of a training step',
    )
    parser.add_argument('--pairs', type=int, default=6, help='measurements')
    parser.add_argument(
        '--priors',
        type=int,
        nargs='+',
        choices=GRIDS,
        default=[9, 25, 81],
        help='of a cell',
    )
    parser.add_argument(
        '--family',
        choices=NAMES,
        default='retinanet',
        help='others than RetinaNet have the priors of their configs',
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=RIVALS,
        help='of MetaAnchor, beside stock; None stands for all of the family',
    )
    parser.add_argument(
        '--dtype',
        choices=['fp32', 'bf16'],
        default='fp32',
        help='of the network; bf16 by autocast',
    )
    parser.add_argument(
        '--compile', action='store_true', help='the network, by torch.compile'
    )
    parser.add_argument('--out', default='work_dirs/speed', help='folder')
    args = parser.parse_args()
    others = args.family in FAMILIES
    known = RIVALS_OF_FAMILIES if others else RIVALS
    if args.variants is None:
        args.variants = known
    unknown = set(args.variants) - set(known)
    if unknown:
        parser.error(f'{args.family} has no variant {", ".join(unknown)}')
    return args


def main() -> None:
    args = parse_args()
    keep_freed_memory()  # as in training
    settings = Settings(
        tuple(args.image_size),
        args.batch_size,
        args.pairs,
        args.dtype,
        args.compile,
        get_device(),
        args.family,
    )
    out_dir = Path(args.out)
    priors, read = args.priors, read_configs
    if args.family in FAMILIES:
        number, configs = read_family(args.family)
        priors, read = [number], lambda _: configs
    content = compare_variants(
        out_dir / 'speed.json', priors, args.variants, settings, read
    )
    write_speed_report(out_dir, content)
    tables.show(speed_table(content['cells']))
    tables.show(cost_table(content['cells']))
    print(f'{out_dir}/speed.md')


if __name__ == '__main__':
    with one_line_errors():
        main()
