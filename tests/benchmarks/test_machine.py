"""What figures say of where they come from."""

import shutil
import subprocess
from pathlib import Path

from benchmarks import machine


def test_the_commit_is_that_of_the_package(tmp_path, monkeypatch):
    """Not of a repository around the place where it is installed."""
    package = tmp_path / 'site' / 'benchmarks' / 'machine.py'
    package.parent.mkdir(parents=True)
    shutil.copy(machine.__file__, package)
    monkeypatch.setattr(machine, '__file__', str(package))

    def git(*words, folder):
        subprocess.run(
            ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *words],
            cwd=folder,
            check=True,
            capture_output=True,
        )

    git('init', folder=tmp_path)
    git('add', '.', folder=tmp_path)
    git('commit', '-m', 'around', folder=tmp_path)
    assert machine.describe_commit() is None
    root = Path(package).parents[1]
    result = root / 'benchmarks' / 'results' / 'run.json'
    result.parent.mkdir(parents=True)
    result.touch()
    git('init', folder=root)
    git('add', '.', folder=root)
    git('commit', '-m', 'own', folder=root)
    commit = machine.describe_commit()
    assert len(commit) == 7
    git('rm', '--cached', str(result), folder=root)  # no new code
    assert machine.describe_commit() == commit
    package.write_text('changed')
    assert machine.describe_commit() == f'{commit}-dirty'
