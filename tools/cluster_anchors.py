"""Make anchors from the boxes of a data set, for a MetaAnchor detector."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.anchors_file import write_anchors
from mmdet_metaanchor.anchors.boxes import read_detector_boxes
from mmdet_metaanchor.anchors.clusters import cluster_anchors
from mmdet_metaanchor.anchors.customize import find_head, read_generator
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', help='detector: its levels, and the pipeline that resizes'
    )
    parser.add_argument('ann_file', help='COCO JSON with the boxes')
    parser.add_argument('out', help='anchors file (.json) to write')
    parser.add_argument(
        '--number',
        type=int,
        help='anchors of a level (default: the knee of the mean IoU)',
    )
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument(
        '--per-level',
        action='store_true',
        help="clusters of every level's own boxes, not the same for all",
    )
    levels.add_argument(
        '--by-size',
        action='store_true',
        help='as published for YOLOv3: clusters in px, the smallest for the '
        'smallest stride (3 a level by default)',
    )
    parser.add_argument(
        '--checkpoint',
        help='trained detector; anchors stay within its range of sizes and '
        'ratios (default: that of the anchors of the config)',
    )
    parser.add_argument(
        '--beyond-range',
        action='store_true',
        help='go beyond the sizes and ratios that were trained',
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        if not args.out.endswith('.json'):
            raise ValueError(f'out must be a .json file, got {args.out}')
        cfg = Config.fromfile(args.config)
        generator, shape_range = read_generator(cfg), None
        if args.checkpoint is not None:
            model, _ = load_detector(cfg, args.checkpoint)
            head = find_head(model)
            generator, shape_range = head.prior_generator, head.shape_range
        boxes = read_detector_boxes(cfg, args.ann_file)
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        anchors = cluster_anchors(
            boxes.sizes,
            generator,
            args.number,
            args.per_level,
            args.seed,
            shape_range,
            args.beyond_range,
            args.by_size,
        )
        write_anchors(args.out, anchors, clusters_of=args.ann_file)
    for stride, level in zip(generator.strides, anchors, strict=True):
        sizes = ', '.join(f'{w:.1f} x {h:.1f}' for w, h in level)
        print(f'stride {stride[0]} px: {sizes}')
    print(args.out)


if __name__ == '__main__':
    main()
