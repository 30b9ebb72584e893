"""Say how well a set of anchors covers the boxes of a data set."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.boxes import read_detector_boxes
from mmdet_metaanchor.anchors.cover import (
    cover,
    draw_cover,
    summarise_cover,
    unreached,
)
from mmdet_metaanchor.anchors.customize import build_anchors, read_generator
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', help='detector: its anchors, and the pipeline that resizes'
    )
    parser.add_argument('ann_file', help='COCO JSON with the boxes')
    parser.add_argument(
        '--anchors',
        help='other anchors: a literal, or an anchors file (.json), as for '
        'tools/test.py',
    )
    parser.add_argument(
        '--out-dir',
        default='work_dirs/cover',
        help='folder for cover.json and cover.png',
    )
    return parser.parse_args()


def print_table(rows: list[dict]) -> None:
    table = Table(*(name.replace('_', ' ') for name in rows[0]))
    for row in rows:
        group, number, *shares = row.values()
        table.add_row(
            escape(group), str(number), *(f'{s:.3f}' for s in shares)
        )
    Console().print(table)


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        cfg = Config.fromfile(args.config)
        generator = read_generator(cfg)
        if args.anchors is not None:
            generator = build_anchors(parse_anchors(args.anchors), generator)
        boxes = read_detector_boxes(cfg, args.ann_file)
        found = cover(boxes, generator)
        rows, lost = summarise_cover(boxes, found), unreached(boxes, found)
        folder = Path(args.out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / 'cover.json', dict(groups=rows, unreached=lost))
        draw_cover(folder / 'cover.png', boxes, found, generator)
    print_table(rows)
    for level, stride in enumerate(generator.strides):
        number = (found.level == level).sum()
        print(f'best at stride {stride[0]} px: {number} boxes')
    print(f'{len(lost)} boxes that no anchor reaches, in {folder}/cover.json')


if __name__ == '__main__':
    main()
