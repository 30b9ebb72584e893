"""The main job: train both twins on the digits, compare them, report."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple, TextIO

from mmengine.runner import Runner

from mmdet_metaanchor.anchors.customize import customize_anchors
from mmdet_metaanchor.datasets.digits import make_digits
from mmdet_metaanchor.runtime.checkpoints import last_checkpoint, load_strictly
from mmdet_metaanchor.runtime.runner import build_runner

from ..metrics import read_metrics
from .pictures import draw_anchors, draw_curves, draw_detections
from .report import print_table, write_report
from .twins import (
    META,
    STOCK,
    Twin,
    read_config,
    read_scalars,
    train,
)
from .views import read_samples, read_view


class AnchorSet(NamedTuple):
    """Anchors to test with, in the form that ``customize_anchors`` takes."""

    name: str
    definition: str
    anchors: dict | list | None  # None: those of the training


TRAINED = AnchorSet(
    'as trained', 'scales 2 * 2^(k/3), k = 0 .. 2; ratios 1/2, 1, 2', None
)
# Scales are multiples of the stride of a level, which is 8 px at the lowest.
OTHERS = (
    AnchorSet(
        '1x1',
        'the middle one of the trained scales; ratio 1',
        dict(scales=[2 * 2 ** (1 / 3)], ratios=[1.0]),
    ),
    AnchorSet(
        '3x1',
        'the trained scales; ratio 1',
        dict(octave_base_scale=2, scales_per_octave=3, ratios=[1.0]),
    ),
    AnchorSet(
        '5x5',
        'scales 2 * 2^(k/5), k = 0 .. 4; ratios 3^(k/2), k = -2 .. 2',
        dict(
            octave_base_scale=2,
            scales_per_octave=5,
            ratios=[3 ** (k / 2) for k in range(-2, 3)],
        ),
    ),
    AnchorSet(
        '9x9',
        'scales 2 * 2^(k/9), k = 0 .. 8; ratios 5^(k/4), k = -4 .. 4',
        dict(
            octave_base_scale=2,
            scales_per_octave=9,
            ratios=[5 ** (k / 4) for k in range(-4, 5)],
        ),
    ),
    AnchorSet(
        'px list',
        '(w, h) = (20, 20), (28, 28), (14, 32), (32, 14) px at the lowest '
        'level, twice that at each next one',
        [
            [(20, 20), (28, 28), (14, 32), (32, 14)],
            [(40, 40), (56, 56), (28, 64), (64, 28)],
            [(80, 80), (112, 112), (56, 128), (128, 56)],
            [(160, 160), (224, 224), (112, 256), (256, 112)],
            [(320, 320), (448, 448), (224, 512), (512, 224)],
        ],
    ),
)
PICTURED = ('1x1', 'as trained', '5x5')  # the columns of anchors.png
NUM_SAMPLES = 4  # val images in the pictures
OPTIONS = (
    'randomness.seed=0',
    # A logged loss is the mean of this many iterations; there are as many
    # between two lines of the log, so none counts in two points of a curve.
    'log_processor.window_size=20',
)
STEPS = 5


def run_demo(root: Path, work_dir: Path, cfg_options: Sequence[str]) -> None:
    """Train both twins, test them, and write the report.

    Args:
        root (Path): The repository, which holds ``configs`` and ``tools``.
        work_dir (Path): Folder for checkpoints, the log and the report. If
            it holds an earlier demo, what is trained there is used.
        cfg_options (Sequence[str]): Settings ``key=value`` of both twins.
    """
    out_dir = work_dir.resolve() / 'report'
    work_dir = out_dir.parent
    out_dir.mkdir(parents=True, exist_ok=True)
    # The configs name their data relative to the current directory.
    os.chdir(root)
    options = [*OPTIONS, *cfg_options]
    with open(work_dir / 'demo.log', 'a', encoding='utf-8') as log:
        with _step(1, 'Digits in data/digits (seconds)', log):
            make_digits('data/digits')
        records, scalars = {}, {}
        for number, twin in enumerate((STOCK, META), start=2):
            with _step(
                number,
                f'Training {twin.name} (about 4 minutes on 2 CPU cores)',
                log,
            ):
                folder = work_dir / twin.folder
                records[twin.name] = train(twin, folder, options, log)
                scalars[twin.name] = read_scalars(folder)
        with _step(4, 'Testing (about 2 minutes on 2 CPU cores)', log):
            samples, rows, views = compare(work_dir, options, log)
        with _step(5, 'Report (seconds)', log):
            draw_curves(out_dir / 'curves.png', scalars)
            draw_detections(
                out_dir / 'detections.png',
                samples,
                {t.name: views[t.name, TRAINED.name] for t in (STOCK, META)},
            )
            draw_anchors(
                out_dir / 'anchors.png',
                samples[0],
                {name: views[META.name, name] for name in PICTURED},
            )
            sets = [anchor_set._asdict() for anchor_set in (TRAINED, *OTHERS)]
            report = write_report(
                out_dir,
                rows=rows,
                records=records,
                val={name: log.val for name, log in scalars.items()},
                anchor_sets=sets,
                cfg_options=options,
            )
    print_table(rows)
    print(report)


@contextmanager
def _step(number: int, title: str, log: TextIO) -> Iterator[None]:
    """Announce a step; if it fails, end the program with one line."""
    print(f'[{number}/{STEPS}] {title}', flush=True)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit('demo: interrupted; the same command goes on from here')
    except Exception as error:
        traceback.print_exc(file=log)
        reason = ' '.join(str(error).split()) or type(error).__name__
        sys.exit(
            f'demo: error in step {number} of {STEPS}, {title}: {reason}; '
            f'log: {log.name}'
        )


def compare(work_dir: Path, options: Sequence[str], log: TextIO) -> tuple:
    """Test both twins on val, and MetaAnchor with other anchors too.

    Args:
        work_dir (Path): Folder that holds the trainings.
        options (Sequence[str]): Settings ``key=value`` of the trainings.
        log (TextIO): Receives what MMEngine prints.

    Returns:
        tuple: The sample images (list[Sample]); the rows of the table
        (list[dict]); and what a model makes of the samples (dict[tuple[str,
        str], View]), by the names of the twin and of the anchor set.
    """
    rows, views = [], {}
    for twin, anchor_sets in ((STOCK, []), (META, OTHERS)):
        with redirect_stdout(log):
            runner = _build_tester(twin, work_dir, options)
        for anchor_set in (TRAINED, *anchor_sets):
            with redirect_stdout(log):
                if anchor_set is not TRAINED:
                    customize_anchors(runner.model, anchor_set.anchors)
                metrics = runner.test()
            dataset = runner.test_dataloader.dataset
            batch = [dataset[i] for i in range(NUM_SAMPLES)]
            view = read_view(runner.model, batch)
            views[twin.name, anchor_set.name] = view
            row = dict(
                model=twin.name,
                anchors=anchor_set.name,
                per_cell=view.per_cell,
                **read_metrics(metrics),
            )
            rows.append(row)
            print(
                f'  {twin.name}, anchors {anchor_set.name}: '
                f'{100 * row["mAP"]:.1f} mAP',
                flush=True,
            )
    return read_samples(dataset, batch), rows, views


def _build_tester(
    twin: Twin, work_dir: Path, options: Sequence[str]
) -> Runner:
    """Runner of the trained twin, its logs apart from the training's."""
    cfg = read_config(twin, options)
    cfg.work_dir = str(work_dir / 'test' / twin.folder)
    # To MMEngine, visualizers of one name are one, whatever the runner.
    cfg.visualizer.name = twin.folder
    runner = build_runner(cfg)
    load_strictly(runner, str(last_checkpoint(work_dir / twin.folder)))
    return runner
