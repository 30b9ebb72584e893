"""Make a folder in COCO format, as configs/custom reads it, from boxes in
Pascal VOC's XML files, in YOLO's text files, or in a table (CSV).
"""  # noqa: D205

import argparse
import sys

from mmdet_metaanchor.datasets.convert import (
    ImageFolder,
    WrongFiles,
    read_class_list,
    read_table,
    read_voc,
    read_yolo,
    write_coco,
)
from mmdet_metaanchor.runtime.command_line import one_line_errors

FORMATS = {
    'voc': ('folder with one XML file per image', 'voc'),
    'yolo': ('folder with one text file per image', None),
    'csv': ('CSV file: file, class, xmin, ymin, xmax, ymax', 'edges'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    formats = parser.add_subparsers(dest='format', required=True)
    for name, (boxes, corners) in FORMATS.items():
        add_arguments(formats.add_parser(name, help=boxes), boxes, corners)
    return parser.parse_args()


def add_arguments(
    parser: argparse.ArgumentParser, boxes: str, corners: str | None
) -> None:
    parser.add_argument('boxes', help=boxes)
    parser.add_argument('images', help='folder with the images')
    parser.add_argument(
        'out_dir',
        help='folder for train.json, val.json and images, a link to the '
        'images (a copy where there are no links)',
    )
    order = '; the order is that of the labels'
    parser.add_argument(
        '--classes',
        required=corners is None,
        help='text file with a class per line, or data.yaml with names'
        + (order if corners is None else f'{order} (default: by name)'),
    )
    parser.add_argument(
        '--val',
        default='0.2',
        help='images of val: a share, a text file that lists them, or a '
        'folder in that of the images (default: 0.2)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='draws the share (default: 0)'
    )
    if corners is not None:
        parser.add_argument(
            '--corners',
            choices=['voc', 'edges'],
            default=corners,
            help='voc: pixels counted from 1, the last one in the box; edges: '
            f'width is xmax - xmin (default: {corners})',
        )


def read(args: argparse.Namespace, images: ImageFolder, classes: list | None):
    if args.format == 'yolo':
        others = (args.classes, args.val)
        return read_yolo(args.boxes, images, classes, others)
    read_corners = read_voc if args.format == 'voc' else read_table
    return read_corners(args.boxes, images, args.corners == 'voc')


def main() -> None:
    args = parse_args()
    with one_line_errors():
        images = ImageFolder(args.images)
        classes = args.classes and read_class_list(args.classes)
        try:
            lines = write_coco(
                read(args, images, classes),
                images,
                args.out_dir,
                classes,
                args.val,
                args.seed,
            )
        except WrongFiles as error:
            if error.problems[1:]:
                print(*error.problems, sep='\n', file=sys.stderr)
            raise
    print(*lines, sep='\n')
    print(f'next: export DATA_ROOT={args.out_dir}')


if __name__ == '__main__':
    main()
