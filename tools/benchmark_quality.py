"""Train and test the detectors of a grid config, and make its report."""

import argparse
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

from mmdet_metaanchor.launch import one_line_errors
from mmdet_metaanchor.quality.grid import Grid
from mmdet_metaanchor.quality.jobs import Jobs


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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
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
        every = grid.runs()
        runs = list(
            dict.fromkeys(
                run
                for pattern in args.only
                for run in every
                if fnmatch(run.variant, pattern)
            )
        )
        if not runs:
            raise ValueError(
                f'no variant of {grid.path} matches {" ".join(args.only)}'
            )
        failures = jobs.run(runs)
    for failure in failures:
        print(f'failed: {failure}', file=sys.stderr)
    if failures:
        sys.exit(1)


if __name__ == '__main__':
    main()
