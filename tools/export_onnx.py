"""Export a RetinaNet, SSD, YOLOv3 or RPN to ONNX.

A stock one, a baked one, say; or, with --anchors-as-input, a MetaAnchor one,
whose anchors are then given to the file with every image.
"""

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.browse.job import read_image
from mmdet_metaanchor.export.onnx_export import export_onnx, open_onnx
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', help='file to write (.onnx)')
    parser.add_argument(
        '--decode',
        action='store_true',
        help='give boxes and scores, not the raw outputs of the head',
    )
    parser.add_argument(
        '--anchors-as-input',
        action='store_true',
        help='take sizes (w, h) in px of the anchors beside the images, one '
        'list per level, and give boxes and scores',
    )
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='IMAGE',
        help='images to compare onnxruntime with PyTorch on, besides noise',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    out = Path(args.out)
    with one_line_errors():
        if out.suffix != '.onnx':
            raise ValueError(f'out must be an .onnx file, got {out}')
        # BGR, as detectors take them.
        images = [np.flip(read_image(name), 2) for name in args.check]
        model, _ = load_detector(Config.fromfile(args.config), args.checkpoint)
        out.parent.mkdir(parents=True, exist_ok=True)
        differences = export_onnx(
            model, out, args.decode, images, args.anchors_as_input
        )
    session = open_onnx(out)
    print(f'{out}: {out.stat().st_size / 1e6:.1f} MB')
    for kind, values in (
        ('input', session.get_inputs()),
        ('output', session.get_outputs()),
    ):
        for value in values:
            print(f'{kind} {value.name} ({", ".join(map(str, value.shape))})')
    name = max(differences, key=differences.get)
    print(
        f'largest difference from PyTorch: {differences[name]:.1e} of the '
        f'largest value, in {name}'
    )


if __name__ == '__main__':
    main()
