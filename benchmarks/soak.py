"""Whether memory, file handles, threads or processes grow with time.

``python -m benchmarks.soak``. A small MetaAnchor RetinaNet is trained by
MMEngine's loop, with the optimizer wrapper of tools/train.py. After every
iteration it gets other anchors, of random number and shapes, and is evaluated
with them on an image. A table at the end says what has grown; if anything has,
the exit status is 1. Linux only.
"""

import argparse
import contextlib
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from tqdm import tqdm

from benchmarks import tables
from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.datasets.digits import make_digits
from mmdet_metaanchor.runtime.command_line import skip_non_finite_steps
from mmdet_metaanchor.runtime.runner import build_runner

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/digits/meta-retinanet_r18-w32_digits.py'
# Images of 128x96 px, and a network for them.
DIGITS = dict(
    num_train=8,
    num_val=1,
    image_size=(128, 96),
    size_range=(12, 48),
    objects=(1, 4),
)
STRIDES = (8, 16, 32, 64, 128)
LOADER = {'batch_size': 1, 'num_workers': 1}
SIZE = {
    'model.backbone.base_channels': 8,
    'model.backbone.norm_eval': True,
    'model.neck.in_channels': [8, 16, 32, 64],
    'model.neck.out_channels': 8,
    'model.bbox_head.in_channels': 8,
    'model.bbox_head.feat_channels': 8,
    'model.bbox_head.norm_cfg.num_groups': 2,
    'model.bbox_head.anchor_generator.jitter': 0.5,
    # It detects something in any image.
    'model.test_cfg.score_thr': 0.0,
}
# What MMEngine's log of the losses and what malloc keeps by chance may add.
MOST_MB = 2.0
COUNTS = ('file handles', 'threads', 'child processes')


class Watch(Hook):
    """Changes the anchors, and notes what the process holds.

    Args:
        iterations (int): Of the training, for the progress bar.
    """

    priority = 'LOWEST'

    def __init__(self, iterations: int) -> None:
        self.random = np.random.default_rng(0)
        self.held = []
        self.bar = tqdm(total=iterations, unit='iteration', mininterval=10)

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Other anchors: 1 to 9 per level."""
        sides = self.random.uniform(1, 8, (self.random.integers(1, 10), 2))
        customize_anchors(
            runner.model, [(s * sides).tolist() for s in STRIDES]
        )

    def after_val_epoch(self, runner, metrics=None) -> None:
        """What there is after the evaluation with them."""
        self.held.append(describe_process())
        self.bar.update()


def describe_process() -> dict[str, float]:
    """Resident memory in MB, and numbers of what else a process holds."""
    me = Path('/proc/self')
    pages = int((me / 'statm').read_text().split()[1])
    children = [
        (task / 'children').read_text().split()
        for task in (me / 'task').iterdir()
    ]
    return {
        'memory': pages * os.sysconf('SC_PAGE_SIZE') / 1e6,
        'file handles': len(list((me / 'fd').iterdir())),
        'threads': len(list((me / 'task').iterdir())),
        'child processes': sum(map(len, children)),
    }


def slope(values: list[float]) -> float:
    """Growth per 1 000 values, fitted to the second half of them."""
    late = values[len(values) // 2 :]
    return float(np.polyfit(np.arange(len(late)), late, 1)[0] * 1000)


def judge(
    before: dict, held: list[dict], after: dict
) -> tuple[list[list[str]], list[str]]:
    """Table of what was held, and the names of what has grown.

    Args:
        before (dict): Of :func:`describe_process`, before all.
        held (list[dict]): The same at every iteration.
        after (dict): The same when all is over.
    """
    moments = [before, held[len(held) // 2], held[-1], after]
    growth = slope([moment['memory'] for moment in held])
    rows = [
        ['', 'before', 'at half time', 'at the end', 'afterwards', 'growth'],
        ['resident memory, MB']
        + [f'{moment["memory"]:.1f}' for moment in moments]
        + [f'{growth:+.2f} MB per 1 000 iterations'],
    ]
    grown = ['memory'] if growth > MOST_MB else []
    for name in COUNTS:
        numbers = [moment[name] for moment in moments]
        rows.append(
            [name, *map(str, numbers), f'{numbers[2] - numbers[1]:+d}']
        )
        # PyTorch keeps the threads of its pools.
        first = numbers[1] if name == 'threads' else numbers[0]
        if numbers[2] > numbers[1] or numbers[3] > first:
            grown.append(name)
    return rows, grown


def make_config(folder: Path, iterations: int) -> Config:
    """Config of the small detector; data and results are in a folder."""
    os.environ['DIGITS_ROOT'] = str(make_digits(folder / 'digits', **DIGITS))
    cfg = Config.fromfile(CONFIG)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=iterations, val_interval=1
    )
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=500)
    cfg.log_processor.by_epoch = False
    cfg.log_level, cfg.launcher = 'ERROR', 'none'
    cfg.work_dir = str(folder / 'work')
    loaders = {
        f'{name}_dataloader.{key}': value
        for name in ('train', 'val', 'test')
        for key, value in LOADER.items()
    }
    cfg.merge_from_dict({**SIZE, **loaders})
    skip_non_finite_steps(cfg)
    return cfg


def soak(iterations: int, say: Callable[[str], None] = print) -> list[str]:
    """Train and evaluate; the names of what has grown."""
    with tempfile.TemporaryDirectory() as folder:
        before = describe_process()
        runner = build_runner(make_config(Path(folder), iterations))
        watch = Watch(iterations)
        runner.register_hook(watch)
        # pycocotools prints what it does.
        with (
            open(os.devnull, 'w') as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            runner.train()
        watch.bar.close()
        del runner
        gc.collect()
        logging.shutdown()  # MMEngine's log, which is open to the end
        rows, grown = judge(before, watch.held, describe_process())
    say(tables.markdown(rows))
    return grown


def main() -> None:
    """What the module does as a program."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.soak', description=__doc__
    )
    parser.add_argument('--iterations', type=int, default=2000)
    args = parser.parse_args()
    if args.iterations < 1:
        parser.error(f'--iterations must be positive, got {args.iterations}')
    grown = soak(args.iterations)
    if grown:
        sys.exit(f'grown: {", ".join(grown)}')


if __name__ == '__main__':
    main()
