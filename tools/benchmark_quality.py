"""Train and test the detectors of a grid config, and make its report."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from mmdet_metaanchor.launch import one_line_errors
from mmdet_metaanchor.quality.check import print_verdicts, repeat_cells
from mmdet_metaanchor.quality.grid import Grid, Run
from mmdet_metaanchor.quality.jobs import Jobs
from mmdet_metaanchor.quality.report import write_report


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'{__doc__} What is done is not done again.'
    )
    parser.add_argument('grid', help='grid config')
    parser.add_argument(
        '--results',
        type=Path,
        help='folder for a JSON file of every run that has ended, and for '
        'the report (default: docs/benchmark/ and the name of the grid)',
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
        default=['*'],
        metavar='PATTERN',
        help='do only the variants that match, in the order of the patterns, '
        "e.g. 'meta-*'; the report has all that is done",
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=os.cpu_count(),
        help='runs side by side (default: one a core)',
    )
    parser.add_argument(
        '--gpus',
        type=int,
        default=1,
        help='GPUs of a run, by tools/dist_train.sh; goes with --jobs 1',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='train anew, with the first seed, one cell of every table, and '
        'say whether it falls where the stated runs let expect it',
    )
    parser.add_argument(
        '--report',
        action='store_true',
        help='train nothing, only make the report of what is done',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # To be ended is to be interrupted: the trainings have to end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with one_line_errors():
        if args.jobs < 1 or args.gpus < 1:
            raise ValueError(
                f'--jobs and --gpus must be positive, got {args.jobs} and '
                f'{args.gpus}'
            )
        grid = Grid(args.grid)
        name = grid.path.stem
        results = args.results or Path('docs/benchmark', name)
        work_dir = args.work_dir or Path('work_dirs/benchmark', name)
        jobs = Jobs(grid, results / 'runs', work_dir, args.jobs, args.gpus)
        if args.check:
            folder = work_dir / 'check'
            anew = Jobs(grid, folder / 'runs', folder, args.jobs, args.gpus)
            verdicts = repeat_cells(grid, jobs, anew)
            print_verdicts(verdicts)
            sys.exit(not all(verdict.holds for verdict in verdicts))
        runs = [] if args.report else choose_runs(grid, args.only)
        try:
            failures = jobs.run(runs)
        except KeyboardInterrupt:
            sys.exit('interrupted; the same command goes on from here')
        print(write_report(grid, jobs, results))
    if failures:
        sys.exit('\n'.join(['failed:', *failures]))


def choose_runs(grid: Grid, patterns: Sequence[str]) -> list[Run]:
    """Runs whose variants match, in the order of the patterns.

    Raises:
        ValueError: There are none.
    """
    every = grid.runs()
    runs = [
        run
        for pattern in patterns
        for run in every
        if fnmatch(run.variant, pattern)
    ]
    if not runs:
        raise ValueError(
            f'no variant of {grid.path} matches {" ".join(patterns)}'
        )
    return list(dict.fromkeys(runs))


if __name__ == '__main__':
    main()
