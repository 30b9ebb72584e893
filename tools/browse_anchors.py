"""Draw what anchors do: of one cell, each alone, and in sets."""

import argparse

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.browse import browse_anchors
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('images', nargs='+', metavar='image', help='files')
    parser.add_argument(
        '--out-dir',
        default='work_dirs/browse',
        help='folder for cell_<image>.png, the anchors of one cell; '
        'each_<image>.png, each anchor alone, of more than 25 in a set '
        'those evenly spaced by area; and sets_<image>.png, the sets beside '
        'the trained one',
    )
    parser.add_argument(
        '--anchors',
        nargs='+',
        default=[],
        metavar='SET',
        help='sets of anchors, each as for tools/test.py; those of the '
        'config where not given',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='show detections whose score is above it',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        parsed = {text: parse_anchors(text) for text in args.anchors}
        sets = {
            text if text.endswith('.json') else str(anchors): anchors
            for text, anchors in parsed.items()
        }
        cfg = Config.fromfile(args.config)
        model, meta = load_detector(cfg, args.checkpoint)
        # As MMDetection's init_detector leaves them.
        model.cfg, model.dataset_meta = cfg, meta['dataset_meta']
        files = browse_anchors(
            model.to(get_device()),
            args.images,
            args.out_dir,
            sets,
            args.score_thr,
        )
    print(*files, sep='\n')


if __name__ == '__main__':
    main()
