"""Every relative link of the README and of the docs leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r'\]\(([^)#\s]+)', page.read_text())
    files = [target for target in targets if '://' not in target]
    lost = [name for name in files if not (page.parent / name).exists()]
    assert not lost


def test_there_are_links_to_follow():
    assert '](docs/' in PAGES[0].read_text()
