"""Train stock RetinaNet and MetaAnchor on digits, compare, write a report."""

import argparse
from pathlib import Path

from benchmarks.demo.job import run_demo

ROOT = Path(__file__).resolve().parent.parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=ROOT / 'work_dirs' / 'demo',
        help='folder for checkpoints, logs and the report; '
        'work_dirs/demo of the repository by default',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override settings of both configs, as in tools/train.py',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    run_demo(ROOT, args.work_dir, args.cfg_options)


if __name__ == '__main__':
    main()
