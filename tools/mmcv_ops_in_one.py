"""Let setuptools compile MMCV's C++ ops as one file instead of 58.

Nearly all of the time of each of these files goes into PyTorch's headers. In
one file they are read once. setup_env.sh names `join_sources` to setuptools
as a hook (entry point group `setuptools.finalize_distribution_options`), so
pip builds, and caches, MMCV from its own unchanged source distribution.
"""

from pathlib import Path

OPS = 'mmcv/ops/csrc/pytorch'
# Where its CPU kernels are: they stay as they are, since some define macros
# and functions of the same name.
KERNELS = f'{OPS}/cpu'
JOINED = Path('build', 'mmcv_ops.cpp')


def join_sources(distribution) -> None:
    """Replace the sources of `mmcv._ext` in `OPS` by one that includes them.

    Leaves a build alone that is not MMCV's, or holds sources in other places
    than a build for the CPU does.

    Args:
        distribution (setuptools.Distribution): What is about to be built.
    """
    for extension in distribution.ext_modules or ():
        sources = sorted(extension.sources)
        ops = [s for s in sources if Path(s).parent == Path(OPS)]
        kernels = [s for s in sources if Path(s).parent == Path(KERNELS)]
        known = ops and len(ops) + len(kernels) == len(sources)
        if extension.name != 'mmcv._ext' or not known:
            continue
        JOINED.parent.mkdir(exist_ok=True)
        JOINED.write_text(
            '#include <torch/extension.h>\n'
            + ''.join(f'#include "../{Path(op).as_posix()}"\n' for op in ops)
        )
        # First, because it takes longest.
        extension.sources = [str(JOINED), *kernels]
