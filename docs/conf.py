"""Sphinx: the site of docs/, which `make docs` builds."""

import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

from mmdet_metaanchor import __version__

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# Where links to files outside of docs/ lead: the repository that Read the Docs
# builds, or REPOSITORY_URL, as https://github.com/NAME/mmdet_metaanchor. With
# neither they lead to the checkout.
URL = os.environ.get('REPOSITORY_URL') or os.environ.get(
    'READTHEDOCS_GIT_CLONE_URL', ''
)
FILES = f'{URL.removesuffix(".git")}/blob/main' if URL else ROOT.as_uri()

project = 'mmdet_metaanchor'
author = 'The mmdet_metaanchor authors'
version = release = __version__
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = 'MetaAnchor for MMDetection'
html_show_copyright = False
html_math_renderer = 'mathml'
# Docstrings and pages say `x`, not `x`_.
default_role = 'code'
highlight_language = 'none'

myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 3
myst_url_schemes = {
    **dict.fromkeys(['http', 'https', 'mailto']),
    # What follow_links writes.
    'file-of': FILES + '/{{path}}',
    'part-of': FILES + '/{{path}}#{{fragment}}',
}
nb_execution_mode = 'off'  # a test runs it; the outputs are in the file
nb_merge_streams = True

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # napoleon has them from the docstrings
autodoc_default_options = {'members': True, 'show-inheritance': True}


def follow_links(text: str, folder: Path) -> str:
    """Make the links of a page lead on from docs/, where the site has it.

    Args:
        text (str): Markdown, or a notebook.
        folder (Path): What its relative links start from.

    Returns:
        str: The same, with links to pages and pictures from docs/, and
        those to any other file in the repository.
    """

    def lead(link: re.Match) -> str:
        path = (folder / link[1]).resolve()
        if not path.exists():  # a URL
            return link[0]
        if path == ROOT / 'README.md':
            path = DOCS / 'index.md'
        if path.is_relative_to(DOCS) or path.suffix in ('.jpg', '.png'):
            return f']({os.path.relpath(path, DOCS)}{link[2]}'
        kind = 'part-of' if link[2] else 'file-of'
        return f']({kind}:{path.relative_to(ROOT)}{link[2]}'

    return re.sub(r'\]\(([^)#\s]+)(#?)', lead, text)


def read_page(app: Sphinx, name: str, content: list[str]) -> None:
    """Of the event `source-read`."""
    content[0] = follow_links(content[0], DOCS)


def read_part(app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    """Of the event `include-read`."""
    content[0] = follow_links(content[0], (DOCS / path).parent)


def write_formula(translator, node: nodes.math | nodes.math_block) -> None:
    """Formulas as MathML, which browsers draw with nothing to download."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('source-read', read_page)
    app.connect('include-read', read_part)
    visitors = (write_formula, None)
    app.add_html_math_renderer('mathml', visitors, visitors)
