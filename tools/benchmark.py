"""Print the speed of one detector as a ratio to that of another."""

import argparse

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.hub import get_config

from mmdet_metaanchor.launch import keep_freed_memory, one_line_errors
from mmdet_metaanchor.speed.timing import (
    compare_speed,
    describe_device,
    summarise,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--configs',
        nargs=2,
        default=(
            'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
            'mmdet_metaanchor::meta_retinanet/'
            'meta-retinanet_r50_fpn_3x3_1x_coco.py',
        ),
        metavar=('STOCK', 'OURS'),
        help='two configs: files, or package::name',
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        default=(480, 640),
        metavar=('HEIGHT', 'WIDTH'),
        help='px',
    )
    parser.add_argument(
        '--batch-size', type=int, default=2, help='of a training step'
    )
    parser.add_argument(
        '--objects', type=int, default=8, help='ground truths of an image'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings of both configs: key=value',
    )
    parser.add_argument('--pairs', type=int, default=12, help='measurements')
    return parser.parse_args()


def read_config(name: str) -> Config:
    return get_config(name) if '::' in name else Config.fromfile(name)


def main() -> None:
    args = parse_args()
    device = get_device()
    with one_line_errors():
        configs = [read_config(name) for name in args.configs]
        for cfg in configs:
            cfg.merge_from_dict(args.cfg_options)
    keep_freed_memory()  # as in training
    times = compare_speed(
        *configs,
        tuple(args.image_size),
        args.batch_size,
        args.objects,
        args.pairs,
        device,
    )
    height, width = args.image_size
    print(
        f'\n{args.configs[0]} and {args.configs[1]}, {height}x{width} px; '
        f'torch {torch.__version__}, {describe_device(device)}; '
        f'{args.pairs} pairs, a training step of {args.batch_size} images '
        f'with {args.objects} objects\n\n'
        '| | stock, s | ours, s | ours / stock, median | ratios |\n'
        '|---|---|---|---|---|'
    )
    for what, pairs in times.items():
        row = summarise(pairs)
        print(
            f'| {what} | {row["stock"]:.3f} | {row["ours"]:.3f} | '
            f'{row["ratio"]:.3f} | {row["lowest"]:.3f} to '
            f'{row["highest"]:.3f} |'
        )


if __name__ == '__main__':
    main()
