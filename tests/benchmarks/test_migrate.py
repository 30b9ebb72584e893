"""Records of earlier versions mean the same after their names are renamed."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.migrate import migrate, renamed

ROOT = Path(__file__).resolve().parents[2]
RUNS = 'benchmarks/results/digits/runs'
OLD = dict(
    settings=dict(
        config='configs/benchmark/retinanet_r18-w16_digits.py',
        settings=dict(
            custom_imports=dict(
                imports=[
                    'mmdet_metaanchor',
                    'mmdet_metaanchor.quality.ablations',
                ]
            ),
            note='see configs/benchmark/',
        ),
    ),
    tests={'digits, trained': dict(metrics=dict(mAP=0.5))},
    seed=0,
)
NEW = dict(
    settings=dict(
        config='benchmarks/configs/retinanet_r18-w16_digits.py',
        settings=dict(
            custom_imports=dict(
                imports=['mmdet_metaanchor', 'benchmarks.quality.ablations']
            ),
            # Not a name, but a text in which one occurs.
            note='see configs/benchmark/',
        ),
    ),
    tests={'digits, trained': dict(metrics=dict(mAP=0.5))},
    seed=0,
)


def test_names_change_and_nothing_else():
    assert renamed(OLD) == NEW


def test_what_is_renamed_stays_so():
    assert renamed(NEW) == NEW


def test_a_folder_is_rewritten_once(tmp_path):
    for name, content in dict(a=OLD, b=NEW).items():
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    assert migrate(tmp_path) == [tmp_path / 'a.json']
    assert json.loads((tmp_path / 'a.json').read_text()) == NEW
    assert migrate(tmp_path) == []


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        migrate(tmp_path)


def test_no_published_record_has_an_old_name():
    paths = list((ROOT / RUNS).glob('*.json'))
    assert paths
    for path in paths:
        content = json.loads(path.read_text())
        assert renamed(content) == content


def test_published_records_are_those_of_before_but_for_the_names():
    """By git, at the last commit that had them where they were."""
    before = 'docs/benchmark/digits/runs'
    git = ['git', '-C', str(ROOT)]
    log = subprocess.run(
        [*git, 'log', '-1', '--format=%H', '--diff-filter=D', '--', before],
        capture_output=True,
        text=True,
    )
    moved = log.stdout.strip()
    if log.returncode or not moved:
        pytest.skip('needs the history of the repository')
    for name in ('meta-3x3-0.5_seed2', 'stock-short_seed1'):
        old = subprocess.run(
            [*git, 'show', f'{moved}^:{before}/{name}.json'],
            capture_output=True,
            check=True,
        )
        old = renamed(json.loads(old.stdout))
        new = json.loads((ROOT / RUNS / f'{name}.json').read_text())
        # It sums up all settings now, and a start is told of.
        for record in (old, new):
            del record['settings']['digest']
        assert new.pop('start_digest') is None
        assert old == new
