"""Train and test the detectors of a grid config, and make its report."""

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.machine import describe_machine
from benchmarks.quality.check import print_verdicts, repeat_cells
from benchmarks.quality.grid import Grid
from benchmarks.quality.jobs import Jobs
from benchmarks.quality.records import Records
from benchmarks.quality.report import cells, write_report
from benchmarks.quality.runs import Run
from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import read_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.quality',
        description=f'{__doc__} What is done is not done again.',
    )
    parser.add_argument('grid', help='grid config')
    parser.add_argument(
        '--results',
        type=Path,
        help='folder for a JSON file of every run that has ended, and for '
        'the report (default: that of the grid, or results/ in the work dir)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder for configs, logs and checkpoints (default: '
        'work_dirs/benchmark/ and the name of the grid)',
    )
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='PATTERN',
        help='do only the variants that match, in the order of the patterns, '
        "e.g. 'meta-*'; the report has all that is done",
    )
    parser.add_argument(
        '--jobs',
        type=int,
        help='runs side by side (default: one per core, or one per GPU)',
    )
    parser.add_argument(
        '--gpus',
        type=int,
        default=1,
        help='GPUs of a run, by tools/dist_train.sh (default: 1)',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--check',
        action='store_true',
        help='train anew, with another seed, one cell of every table, and '
        'say whether the result lies in the range that the recorded runs '
        'predict',
    )
    what.add_argument(
        '--report',
        action='store_true',
        help='train nothing, only make the report of what is done',
    )
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = 1 if args.gpus > 1 else count_processors()
    return args


def main() -> None:
    args = parse_args()
    # To be ended, or to lose the terminal, is to be interrupted: the
    # trainings have to end, too. What nohup ignores stays so.
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) != signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler)
    with one_line_errors():
        if args.jobs < 1 or args.gpus < 1 or min(args.jobs, args.gpus) > 1:
            raise ValueError(
                'runs are side by side on one GPU each or on none, or one '
                f'after the other on several; got --jobs {args.jobs} and '
                f'--gpus {args.gpus}'
            )
        if args.only and (args.check or args.report):
            raise ValueError(
                '--only chooses what to train; a check and a report are of '
                'the whole grid'
            )
        grid = Grid(args.grid)
        work_dir = args.work_dir or Path('work_dirs/benchmark', grid.path.stem)
        results = args.results or Path(grid.results or work_dir / 'results')
        records = Records(grid, results / 'runs', args.gpus)
        jobs = Jobs(records, work_dir, args.jobs)
        try:
            for run in grid.runs():
                records.read(run)  # better refused now than after trainings
            if args.check:
                check(jobs, work_dir / 'check')
                return
            failures = []
            if not args.report:
                failures = jobs.run(choose_runs(grid, args.only or ['*']))
        except KeyboardInterrupt:
            sys.exit('interrupted; the same command goes on from here')
        print_report(write_report(jobs, results), len(grid.seeds))
    if failures:
        sys.exit('\n'.join(['failed:', *failures]))


def count_processors() -> int:
    """GPUs, or cores where there are none."""
    return torch.cuda.device_count() or describe_machine()['cores']


def check(stated: Jobs, folder: Path) -> None:
    """Repeat cells in a folder of their own; exit with 1 if one differs.

    A check that was interrupted goes on; to repeat one that has ended is to
    train anew.
    """
    ended = folder / 'ended'
    if ended.is_file():
        shutil.rmtree(folder)
    records = stated.records
    again = Records(records.grid, folder / 'runs', records.gpus)
    anew = Jobs(again, folder, stated.number)
    try:
        verdicts = repeat_cells(records, anew)
    except RuntimeError as error:
        sys.exit(f'failed: {error}')
    print_verdicts(verdicts)
    ended.touch()
    sys.exit(not all(verdict.holds for verdict in verdicts))


def print_report(path: Path, seeds: int) -> None:
    """Print the tables of a report, and where it is."""
    for table in read_json(path.with_suffix('.json'))['tables'].values():
        print(table['title'])
        tables.show(cells(table, seeds))
    print(path)


def choose_runs(grid: Grid, patterns: Sequence[str]) -> list[Run]:
    """Runs whose variants match, in the order of the patterns.

    Raises:
        ValueError: A pattern has none.
    """
    every, runs = grid.runs(), []
    for pattern in patterns:
        chosen = [run for run in every if fnmatch(run.variant, pattern)]
        if not chosen:
            raise ValueError(f'no variant of {grid.path} matches {pattern}')
        runs += chosen
    return list(dict.fromkeys(runs))


if __name__ == '__main__':
    main()
