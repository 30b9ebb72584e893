"""Packaging of mmdet_metaanchor."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = runpy.run_path(str(ROOT / 'mmdet_metaanchor' / 'version.py'))

EXTRAS = {
    # The two stacks that we test. MMCV compiles its ops for the torch that is
    # there: install torch first, and these with `--no-build-isolation`.
    'onedl': [
        'onedl-mmdetection==3.5.1',
        'onedl-mmcv==2.3.6',
        'onedl-mmengine==0.10.12',
    ],
    'openmmlab': ['mmdet==3.3.0', 'mmcv==2.1.0', 'mmengine==0.10.7'],
    # The embedded digits data set, and the tables of benchmarks/.
    'benchmark': ['scikit-learn', 'scipy', 'rich'],
    # The site, `make docs`. myst-nb brings what runs docs/tutorial.ipynb.
    'docs': ['sphinx', 'myst-nb', 'furo'],
    # tools/export_onnx.py: PyTorch writes with the one and we check with the
    # other.
    'onnx': ['onnx', 'onnxruntime'],
    # tools/playground.py serves its page with it.
    'playground': ['gradio>=6'],
    # tools/search_anchors.py is faster with it.
    'search': ['faster-coco-eval'],
    # Another ruff would format otherwise; playwright drives the browser that
    # the page is tested in; aenum is for MMDeploy, which tools/setup_env.sh
    # adds without its own.
    'test': [
        'pytest',
        'pytest-xdist',
        'hypothesis',
        'playwright',
        'ruff==0.17.6',
        'aenum',
    ],
}


def link_mim_files() -> None:
    """Put what `mim` and `mmdet_metaanchor::` look for under the package.

    They are links, so that an editable install follows the checkout; building
    a wheel follows the links and packs copies.
    """
    mim = ROOT / 'mmdet_metaanchor' / '.mim'
    mim.mkdir(exist_ok=True)
    for name in ('configs', 'tools', 'model-index.yml'):
        link = mim / name
        if not link.is_symlink():
            link.symlink_to(Path('..', '..', name))


link_mim_files()
setup(
    name='mmdet_metaanchor',
    version=VERSION['__version__'],
    description='MetaAnchor (NeurIPS 2018) for MMDetection',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmdet_metaanchor', 'mmdet_metaanchor.*']),
    package_data={
        'mmdet_metaanchor': [
            '.mim/model-index.yml',
            '.mim/configs/**/*.py',
            '.mim/configs/**/*.yml',
            '.mim/configs/**/*.md',
            '.mim/tools/**/*.py',
            '.mim/tools/*.sh',
        ]
    },
    # None, so that installing us into a working MMDetection changes none of
    # its packages: all that training needs, MMDetection needs as well.
    install_requires=[],
    extras_require=EXTRAS,
    zip_safe=False,
)
