"""Make the embedded data set of handwritten digits (COCO format)."""

import argparse

from mmdet_metaanchor.datasets.digits import make_digits
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'out_dir',
        nargs='?',
        default='data/digits',
        help='folder to write train.json, val.json and images/ in',
    )
    parser.add_argument(
        '--num-train', type=int, default=400, help='training images'
    )
    parser.add_argument(
        '--num-val', type=int, default=100, help='validation images'
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        default=(320, 240),
        metavar=('WIDTH', 'HEIGHT'),
        help='size of the images, px',
    )
    parser.add_argument(
        '--size-range',
        type=float,
        nargs=2,
        default=(12.0, 160.0),
        metavar=('MIN', 'MAX'),
        help='square root of the area of a box, px',
    )
    parser.add_argument(
        '--ratio-range',
        type=float,
        nargs=2,
        default=(1 / 3, 3.0),
        metavar=('MIN', 'MAX'),
        help='height / width of a box',
    )
    parser.add_argument(
        '--objects',
        type=int,
        nargs=2,
        default=(4, 16),
        metavar=('MIN', 'MAX'),
        help='digits drawn for an image',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of everything random'
    )
    return parser.parse_args()


def main():
    with one_line_errors():
        print(make_digits(**vars(parse_args())))


if __name__ == '__main__':
    main()
