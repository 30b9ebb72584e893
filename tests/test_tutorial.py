"""docs/tutorial.ipynb runs, does what it says, and holds its own outputs."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat', reason='the tutorial needs it')
nbclient = pytest.importorskip('nbclient', reason='the tutorial needs it')

DOCS = Path(__file__).resolve().parents[1] / 'docs'


def printed(notebook) -> str:
    """All that the cells print."""
    return ''.join(
        output.text
        for cell in notebook.cells
        for output in cell.get('outputs', [])
        if output.output_type == 'stream'
    )


@pytest.fixture(scope='module')
def stored():
    return nbformat.read(DOCS / 'tutorial.ipynb', as_version=4)


@pytest.fixture(scope='module')
def text():
    """What the notebook prints when it is run, in a process of its own."""
    notebook = nbformat.read(DOCS / 'tutorial.ipynb', as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, resources=dict(metadata=dict(path=str(DOCS)))
    ).execute()
    return printed(notebook)


def scores(text: str, words: str) -> list[float]:
    """mAP and mAP50 of the line that begins with some words."""
    (line,) = re.findall(f'^{words}: mAP (.*), mAP_50 (.*)$', text, re.M)
    return [float(score) for score in line]


def test_it_trains_a_detector(text):
    # One that finds nothing, or boxes at random, has an AP50 of 0.
    assert scores(text, '9 per cell, as trained')[1] > 30
    assert scores(text, '1 per cell')[1] > 30
    assert scores(text, '25 per cell')[1] > 30


def test_clusters_are_tall(text):
    sizes = re.search(r'^clusters:\n(.*)$', text, re.M)[1]
    pairs = re.findall(r'\((\d+), (\d+)\)', sizes)
    assert len(pairs) == 4
    assert all(int(height) > 1.5 * int(width) for width, height in pairs)


def test_a_search_loses_nothing_where_it_looks(text):
    before, after = re.search(
        '^on these images: mAP (.*) to (.*)$', text, re.M
    ).groups()
    assert float(after) >= float(before)


def test_the_baked_detector_is_the_one_that_was_searched(text):
    assert 'MetaRetinaHead -> RetinaHead' in text
    assert scores(text, 'baked') == scores(text, 'on the test images')


def test_stored_outputs_are_those_of_this_code(stored, text):
    """But for numbers, which another CPU rounds differently."""

    def words(text):
        return re.sub(r'[\d.]+', '0', re.sub(r'\(\d.*\)', '', text))

    assert words(printed(stored)) == words(text)
    ran = [c.execution_count for c in stored.cells if c.cell_type == 'code']
    assert ran == list(range(1, len(ran) + 1))


def test_stored_pictures_are_small(stored):
    pictures = [
        output.data['image/jpeg']
        for cell in stored.cells
        for output in cell.get('outputs', [])
        if 'image/jpeg' in output.get('data', {})
    ]
    assert len(pictures) == 2
    # Base64: 4 letters for 3 bytes.
    assert sum(map(len, pictures)) * 3 / 4 < 200_000
