"""Search anchors for a trained MetaAnchor detector, greedily."""

import argparse
import copy
import random
import time
from contextlib import redirect_stdout
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from mmdet_metaanchor.anchors import (
    build_anchors,
    customize_anchors,
    find_heads,
    parse_anchors,
    write_anchors,
)
from mmdet_metaanchor.detections import (
    collect_detections,
    list_shapes,
    take_apart,
)
from mmdet_metaanchor.launch import (
    keep_freed_memory,
    load_detector,
    one_line_errors,
)
from mmdet_metaanchor.search import (
    Log,
    Scorer,
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings of the config: key=value',
    )
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
    init_default_scope('mmdet')
    out_dir = Path(args.out_dir)
    settings = {k: v for k, v in vars(args).items() if k != 'out_dir'}
    with one_line_errors():
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
        log = Log(out_dir / 'search.json', settings)
    keep_freed_memory()
    model = model.to(get_device())
    head = model.bbox_head
    out_dir.mkdir(parents=True, exist_ok=True)

    order = random.Random(args.seed).sample(range(len(dataset)), len(dataset))
    chosen = order[: args.images]
    held = order[args.images : args.images + args.held_images]

    def collect(sets: list, images: list[int]) -> list:
        loader = DataLoader(
            Subset(dataset, images),
            batch_size=cfg.test_dataloader.batch_size,
            collate_fn=pseudo_collate,
        )
        return collect_detections(model, loader, sets, args.most)

    first = list_shapes(head.prior_generator)
    began = time.perf_counter()
    begin, *found = collect([first, *candidates], chosen)
    collected = time.perf_counter()
    if args.from_nothing:
        first = [[] for _ in first]
        begin = [image[:0] for image in begin]
    with redirect_stdout(None):
        coco = COCO(dataset.ann_file)
    scorer = Scorer(head, coco, dataset.cat_ids)
    best = scorer([begin])
    print(f'mAP on {len(chosen)} images, to start from: {100 * best:.1f}')

    def write_found() -> list[list]:
        """All that is kept so far, whole after every step."""
        kept = [candidates[s.candidate] for s in log.steps if s.kept]
        levels = zip(first, *kept, strict=True)
        final = [[size for part in level for size in part] for level in levels]
        if final[0]:
            write_anchors(out_dir / 'anchors.json', final, search=settings)
        return final

    bar = tqdm(total=args.steps, desc='search', initial=len(log.steps))
    for step in greedy_search(
        scorer, begin, found, args.steps, args.patience, args.seed, log.steps
    ):
        log.add(step)
        write_found()
        best = max(best, step.score)
        bar.update()
        bar.set_postfix_str(f'mAP {100 * best:.2f}')
    bar.close()

    final = write_found()
    print(
        f'{len(candidates)} candidates on {len(chosen)} images: '
        f'{collected - began:.1f} s to detect, '
        f'{time.perf_counter() - collected:.1f} s to choose'
    )
    if not final[0]:
        print('no candidate detected anything: there is no anchors file')
        return
    print(f'{len(final[0])} anchors a level, in {out_dir}/anchors.json')
    if held and first[0]:
        before, after = collect([first, final], held)
        print(
            f'mAP on {len(held)} other images: {100 * scorer([before]):.1f} '
            f'before, {100 * scorer([after]):.1f} after'
        )


if __name__ == '__main__':
    main()
