"""Search anchors for a trained MetaAnchor detector, greedily."""

import argparse
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.candidates import paper_candidates
from mmdet_metaanchor.anchors.customize import (
    build_anchors,
    customize_anchors,
    find_heads,
    list_shapes,
)
from mmdet_metaanchor.anchors.detections import take_apart
from mmdet_metaanchor.anchors.search import search_anchors
from mmdet_metaanchor.datasets.coco import read_images
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import digest_file, digest_json
from mmdet_metaanchor.runtime.runner import keep_freed_memory


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'out_dir', help='folder for anchors.json and search.json, the log'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings of the config: key=value',
    )
    parser.add_argument(
        '--start',
        help='anchors to start from, as for tools/test.py, unless those of '
        'the config score higher; the latter where not given',
    )
    parser.add_argument(
        '--from-nothing',
        action='store_true',
        help='start from no anchors at all',
    )
    parser.add_argument(
        '--candidates',
        help='anchors to choose from, as for tools/test.py: the first of '
        "every level are a candidate, and so on; the paper's where not given",
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='data loader of the config whose images are used',
    )
    parser.add_argument('--images', type=int, default=50, help='to search on')
    parser.add_argument(
        '--held-images',
        type=int,
        default=50,
        help='others of the split, to score on before and after',
    )
    parser.add_argument('--steps', type=int, default=161, help='at most')
    parser.add_argument(
        '--patience', type=int, default=60, help='steps without a rise'
    )
    parser.add_argument(
        '--most',
        type=int,
        default=300,
        help='detections kept per image and anchor, which bounds the memory',
    )
    parser.add_argument('--seed', type=int, default=0, help='of all draws')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        least_values = dict(
            images=1, held_images=0, steps=1, patience=1, most=1
        )
        for name, least in least_values.items():
            if getattr(args, name) < least:
                raise ValueError(
                    f'--{name.replace("_", "-")} must be at least {least}, '
                    f'got {getattr(args, name)}'
                )
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        start, own = (
            None if text is None else parse_anchors(text)
            for text in (args.start, args.candidates)
        )
        model, _ = load_detector(cfg, args.checkpoint)
        trained = find_heads(model)[0].prior_generator
        candidates = (
            paper_candidates(trained)
            if own is None
            else take_apart(build_anchors(own, trained))
        )
        if start is not None:
            customize_anchors(model, start)
        dataset = read_images(cfg, args.split)
        held = max(0, len(dataset) - args.images)
        if held < args.held_images:
            print(
                f'{args.split} has {len(dataset)} images, so that {held} and '
                f'not {args.held_images} are held'
            )
        keep_freed_memory()
        found = search_anchors(
            model.to(get_device()),
            dataset,
            Path(args.out_dir),
            candidates,
            args.images,
            args.held_images,
            args.from_nothing,
            args.steps,
            args.patience,
            args.most,
            args.seed,
            dict(
                config=args.config,
                checkpoint=args.checkpoint,
                # A name may come to be that of another training or set, and
                # a config, or one that it inherits from, may be edited.
                contents=[
                    digest_file(args.checkpoint),
                    digest_file(dataset.ann_file),
                    digest_json(
                        [cfg.model, cfg.test_dataloader.dataset]
                        + [cfg[f'{args.split}_dataloader'].dataset]
                    ),
                ],
                cfg_options=args.cfg_options,
                split=args.split,
            ),
            list_shapes(trained),
        )
    detecting, choosing = found.seconds
    print(
        f'{len(candidates)} candidates: {detecting:.1f} s to detect, '
        f'{choosing:.1f} s to choose'
    )
    print_scores(found.metric, 'the images searched on', *found.scores)
    if found.held is not None:
        print_scores(found.metric, 'the held images', *found.held)
    if found.anchors[0]:
        number = len(found.anchors[0])
        print(f'{number} anchors per level, in {args.out_dir}/anchors.json')
    else:
        print(
            f'no candidate raised the {found.metric}, so there is no '
            'anchors file'
        )


def print_scores(
    metric: str, images: str, before: float, after: float
) -> None:
    print(
        f'{metric} on {images}: {100 * before:.1f} before, '
        f'{100 * after:.1f} after'
    )


if __name__ == '__main__':
    main()
