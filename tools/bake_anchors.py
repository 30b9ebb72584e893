"""Freeze the anchors of a MetaAnchor detector: a stock config and weights."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.customize import customize_anchors
from mmdet_metaanchor.export.bake import bake_anchors, write_stock
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'out', help='checkpoint to write (.pth); its config (.py) beside it'
    )
    parser.add_argument(
        '--anchors',
        help='anchors to freeze, as for tools/test.py; those of the config '
        'where not given',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    out = Path(args.out)
    with one_line_errors():
        if out.suffix != '.pth':
            raise ValueError(f'out must be a .pth file, got {out}')
        stock_config = out.with_suffix('.py')
        # Baking again is fine; a config without weights is somebody's own.
        if stock_config.exists() and not out.exists():
            raise FileExistsError(
                f'{stock_config}, where the config of {out} would be written, '
                'exists already; choose another name'
            )
        for ours, given in (
            (out, args.checkpoint),
            (stock_config, args.config),
        ):
            if ours.resolve() == Path(given).resolve():
                raise FileExistsError(
                    f'{given} would be overwritten; choose another name'
                )
        cfg = Config.fromfile(args.config)
        model, meta = load_detector(cfg, args.checkpoint)
        if args.anchors is not None:
            customize_anchors(model, parse_anchors(args.anchors))
        stock_cfg, state = bake_anchors(model, cfg)
        write_stock(out, stock_cfg, state, meta)
    print(f'{out} and {stock_config} need MMDetection alone')
    if stock_cfg.model.get('bbox_head', {}).get('type') == 'SSDHead':
        print(
            'MMDetection 3.3 and 3.5 let an SSDHead predict after '
            'mmdet.models.SSDHead.loss_cls = None'
        )


if __name__ == '__main__':
    main()
