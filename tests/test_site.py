"""The site of docs/ builds without a warning, and leads everywhere."""

from pathlib import Path

import pytest

import mmdet_metaanchor

pytest.importorskip('myst_nb', reason='the site needs the extra `docs`')

# Of Sphinx's extensions, about the next Sphinx.
pytestmark = pytest.mark.filterwarnings(
    'ignore::DeprecationWarning', 'ignore::PendingDeprecationWarning'
)
ROOT = Path(__file__).resolve().parents[1]
FILES = 'https://example.org/repository/blob/main'


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Folder of the built pages; a warning fails the build."""
    from sphinx.cmd.build import build_main

    folder = tmp_path_factory.mktemp('site')
    options = ['-q', '-W', '--keep-going', '-d', str(folder / 'doctrees')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('REPOSITORY_URL', 'https://example.org/repository.git')
        failed = build_main(
            [*options, str(ROOT / 'docs'), str(folder / 'html')]
        )
    assert not failed
    return folder / 'html'


def test_every_page_is_in_the_menu(site):
    index = (site / 'index.html').read_text()
    pages = [*(ROOT / 'docs').glob('*.md'), ROOT / 'docs/tutorial.ipynb']
    assert len(pages) > 8
    for page in pages:
        if page.stem != 'index':
            assert f'href="{page.stem}.html"' in index


# A page, what it links to, and where that link has to lead.
@pytest.mark.parametrize(
    ('page', 'link'),
    [
        (
            'index',
            'training.html#anchors-that-were-not-trained-what-was-tried',
        ),
        ('index', f'{FILES}/configs/meta_retinanet'),
        ('benchmark-digits', f'{FILES}/benchmarks/results/digits/report.md'),
        (
            'benchmark-digits',
            f'{FILES}/benchmarks/results/digits/report.md#ablations-5-epochs',
        ),
        ('tutorial', f'{FILES}/configs/custom/README.md'),
        ('tutorial', 'method.html'),
    ],
)
def test_links_lead_to_pages_and_to_the_repository(site, page, link):
    assert f'href="{link}"' in (site / f'{page}.html').read_text()


def test_every_public_name_is_in_the_api(site):
    text = ''.join(page.read_text() for page in (site / 'api').glob('*.html'))
    names = [name for name in mmdet_metaanchor.__all__ if name[0] != '_']
    assert len(names) > 20
    missing = [name for name in names if f'.{name}">' not in text]
    assert not missing


def test_formulas_need_no_network(site):
    text = (site / 'method.html').read_text()
    assert '<math' in text
    assert 'mathjax.js' not in text.lower()
    assert '<script src="http' not in text
