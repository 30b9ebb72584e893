"""Search anchors for a trained MetaAnchor detector, greedily."""

import argparse
import copy
import random
from contextlib import redirect_stdout
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from mmdet_metaanchor.anchors import (
    customize_anchors,
    parse_anchors,
    write_anchors,
)
from mmdet_metaanchor.launch import (
    add_common_arguments,
    build_runner,
    load_config,
    load_strictly,
    one_line_errors,
)
from mmdet_metaanchor.search import (
    Log,
    Scorer,
    collect_detections,
    greedy_search,
    paper_candidates,
)


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
    add_common_arguments(parser)
    parser.add_argument(
        '--start',
        help='anchors to start from, as for tools/test.py; those of the '
        'config where not given',
    )
    parser.add_argument(
        '--from-nothing',
        action='store_true',
        help='start from no anchors at all',
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
        help='detections kept an image and candidate, which bounds memory',
    )
    parser.add_argument('--seed', type=int, default=0, help='of all draws')
    return parser.parse_args()


def read_images(cfg: Config, split: str):
    """The images of a split as the test pipeline gives them."""
    source = cfg[f'{split}_dataloader'].dataset
    if 'ann_file' not in source:
        raise ValueError(
            f'{split}_dataloader.dataset is a {source.type} without an '
            'ann_file of its own'
        )
    wanted = copy.deepcopy(cfg.test_dataloader.dataset)
    for key in ('type', 'data_root', 'ann_file', 'data_prefix', 'metainfo'):
        if key in source:
            wanted[key] = source[key]
    return DATASETS.build(wanted)


def main() -> None:
    args = parse_args()
    out_dir = Path(args.out_dir)
    settings = {k: v for k, v in vars(args).items() if k != 'out_dir'}
    with one_line_errors():
        cfg = load_config(args)
        cfg.work_dir = str(out_dir / 'log')
        start = None if args.start is None else parse_anchors(args.start)
        log = Log(out_dir / 'search.json', settings)
        dataset = read_images(cfg, args.split)
    runner = build_runner(cfg)
    head = runner.model.bbox_head
    with one_line_errors():
        load_strictly(runner, args.checkpoint)
        candidates = paper_candidates(head.prior_generator)
        if start is not None:
            customize_anchors(runner.model, start)

    order = random.Random(args.seed).sample(range(len(dataset)), len(dataset))
    chosen = order[: args.images]
    held = order[args.images : args.images + args.held_images]

    def collect(sets: list, images: list[int]) -> list:
        loader = DataLoader(
            Subset(dataset, images),
            batch_size=cfg.test_dataloader.batch_size,
            collate_fn=pseudo_collate,
        )
        return collect_detections(runner.model, loader, sets, args.most)

    first = [
        [tuple(size) for size in level.tolist()]
        for level in head.prior_generator.base_shapes
    ]
    begin, *found = collect([first, *candidates], chosen)
    if args.from_nothing:
        first = [[] for _ in first]
        begin = [
            InstanceData(
                **{k: v[:0] for k, v in image.items()},
                metainfo=dict(img_id=image.img_id),
            )
            for image in begin
        ]
    with redirect_stdout(None):
        coco = COCO(dataset.ann_file)
    scorer = Scorer(head, coco, dataset.cat_ids)
    best = scorer([begin])
    print(f'mAP on {len(chosen)} images, to start from: {100 * best:.1f}')
    bar = tqdm(total=args.steps, desc='search', initial=len(log.steps))
    for step in greedy_search(
        scorer, begin, found, args.steps, args.patience, args.seed, log.steps
    ):
        log.add(step)
        best = max(best, step.score)
        bar.update()
        bar.set_postfix_str(f'mAP {100 * best:.2f}')
    bar.close()

    final = [list(level) for level in first]
    for step in log.steps:
        if step.kept:
            added = candidates[step.candidate]
            final = [a + b for a, b in zip(final, added, strict=True)]
    write_anchors(out_dir / 'anchors.json', final, search=settings)
    print(f'{len(final[0])} anchors a level, in {out_dir}/anchors.json')
    if held and first[0]:
        before, after = collect([first, final], held)
        print(
            f'mAP on {len(held)} other images: {100 * scorer([before]):.1f} '
            f'before, {100 * scorer([after]):.1f} after'
        )


if __name__ == '__main__':
    main()
