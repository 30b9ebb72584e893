"""Train a detector; the flags are those of MMDetection's tools/train.py."""

import argparse

from mmdet_metaanchor.datasets.dataset_types import use_checked_datasets
from mmdet_metaanchor.runtime.checkpoints import check_fits
from mmdet_metaanchor.runtime.command_line import (
    add_common_arguments,
    load_config,
    one_line_errors,
    skip_non_finite_steps,
    use_amp,
)
from mmdet_metaanchor.runtime.interruptions import (
    full_disk_in_one_line,
    go_on,
    survive_interruptions,
)
from mmdet_metaanchor.runtime.runner import build_runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    add_common_arguments(parser)
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the total batch size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or, without a name, from the '
        'last whole one in the work dir',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors():
        cfg = load_config(args)
        use_checked_datasets(cfg)
        if args.amp:
            use_amp(cfg)
        skip_non_finite_steps(cfg)
        if args.auto_scale_lr:
            if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
                raise ValueError(
                    '--auto-scale-lr needs auto_scale_lr.base_batch_size in '
                    f'the config, and {args.config} has none'
                )
            cfg.auto_scale_lr.enable = True
        survive_interruptions(cfg)
        # By itself, MMEngine resumes too late for the seed.
        if args.resume is not None or cfg.get('resume'):
            go_on(cfg, args.resume)
    with full_disk_in_one_line():
        runner = build_runner(cfg)
        with one_line_errors():
            # MMEngine would load what fits, and log the rest.
            if cfg.get('load_from'):
                whole = cfg.get('resume', False)
                check_fits(runner, cfg.load_from, whole)
            _ = runner.train_loop, runner.val_loop  # read the data
        runner.train()


if __name__ == '__main__':
    main()
