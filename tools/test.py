"""Test a detector, with the anchors of its config or with others."""

import argparse

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import ConfigDict

from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.customize import customize_anchors
from mmdet_metaanchor.datasets.dataset_types import use_checked_datasets
from mmdet_metaanchor.runtime.checkpoints import load_strictly
from mmdet_metaanchor.runtime.command_line import (
    add_common_arguments,
    load_config,
    one_line_errors,
)
from mmdet_metaanchor.runtime.runner import build_runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    add_common_arguments(parser)
    parser.add_argument(
        '--anchors',
        help='test a MetaAnchor model with these anchors: a literal, sizes '
        '"[[(w, h), ...], ...]" in px, one list per level, or the config of '
        "an anchor generator \"{'scales': [4], 'ratios': [0.5, 1, 2]}\", or a "
        '.json file that holds one',
    )
    parser.add_argument('--out', help='write the predictions to this .pkl')
    parser.add_argument(
        '--show', action='store_true', help='show the predictions'
    )
    parser.add_argument(
        '--show-dir',
        help='draw the predictions to this folder, within WORK_DIR/TIMESTAMP '
        'unless absolute',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds between images'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="augment the images as the config's tta_pipeline says, and merge "
        'the predictions by its tta_model',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors():
        cfg = load_config(args)
        use_checked_datasets(cfg)
        if args.anchors is not None:
            anchors = parse_anchors(args.anchors)
        if args.out and not args.out.endswith(('.pkl', '.pickle')):
            raise ValueError(f'--out must be a .pkl file, got {args.out}')
        if args.show or args.show_dir:
            cfg = trigger_visualization_hook(cfg, args)
        if args.tta:
            if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
                raise ValueError(
                    '--tta needs tta_model and tta_pipeline in the config, '
                    f'and {args.config} lacks them'
                )
            cfg.model = ConfigDict(cfg.tta_model, module=cfg.model)
            cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    runner = build_runner(cfg)
    with one_line_errors():
        load_strictly(runner, args.checkpoint)
        if args.anchors is not None:
            customize_anchors(runner.model, anchors)
        _ = runner.test_loop  # reads the data
    if args.out:
        runner.test_evaluator.metrics.append(DumpDetResults(args.out))
    runner.test()


if __name__ == '__main__':
    main()
