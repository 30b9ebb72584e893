"""Draw which anchors an assigner makes positive, ignored and negative."""

import argparse

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.browse import browse_matches
from mmdet_metaanchor.datasets.coco import read_images
from mmdet_metaanchor.runtime.command_line import (
    one_line_errors,
    read_literal,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument(
        'images',
        nargs='*',
        metavar='image',
        help='names of image files in the split; the first with objects '
        'where not given',
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='data set of the config that the images and objects are in',
    )
    parser.add_argument(
        '--assigner',
        nargs='+',
        default=[],
        help="others to show below the config's: a type, e.g. "
        'FasterRCNNAssigner, or a literal, e.g. '
        "\"{'type': 'ATSSAssigner', 'topk': 9}\"",
    )
    parser.add_argument(
        '--out-dir',
        default='work_dirs/matches',
        help='folder for matches_<image>.png: a row per assigner, a column '
        'per level',
    )
    # Images may stand behind options, too.
    return parser.parse_intermixed_args()


def parse_assigner(text: str) -> dict:
    if text.isidentifier():
        return dict(type=text)
    try:
        cfg = read_literal(text)
    except ValueError:
        cfg = None
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise ValueError(
            'an assigner must be a type such as FasterRCNNAssigner, or a '
            "literal such as {'type': 'ATSSAssigner', 'topk': 9}, got "
            f'{text}'
        )
    return cfg


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        assigners = [parse_assigner(text) for text in args.assigner]
        cfg = Config.fromfile(args.config)
        files = browse_matches(
            MODELS.build(cfg.model),
            read_images(cfg, args.split),
            args.images,
            args.out_dir,
            assigners,
        )
    print(*files, sep='\n')


if __name__ == '__main__':
    main()
