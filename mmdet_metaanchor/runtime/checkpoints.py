"""Reading checkpoints: those of MMEngine, under every PyTorch."""

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import (
    contextmanager,
)
from functools import partial, wraps
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from urllib.error import URLError
from zipfile import is_zipfile

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    load_from_http,
    load_from_local,
    load_state_dict,
)
from mmengine.utils import digit_version
from torch import nn
from torch.hub import load_state_dict_from_url

from .allowed_names import names_allowed
from .config_types import read_metainfo
from .runner import model_of

# Letters of what PyTorch says of a checkpoint: it lists every parameter.
MOST_SAID = 1000


def read_checkpoints_of_mmengine() -> None:
    """Let MMEngine read what it itself writes to a checkpoint.

    Since PyTorch 2.6 only allow-listed names are unpickled, and MMEngine
    before 0.10.8 does not list those of its training log. They are listed
    while MMEngine reads a checkpoint from a file or a URL, and for no other
    ``torch.load``. Done on import of the package.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return  # it neither asks nor knows stand-ins
    for prefixes, load in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
    ):
        CheckpointLoader.register_scheme(
            prefixes, _with_names_of_mmengine(load), force=True
        )


def _with_names_of_mmengine(load: Callable) -> Callable:
    @wraps(load)
    def load_with_names(*args, **kwargs) -> dict:
        with names_allowed():
            return load(*args, **kwargs)

    return load_with_names


def last_checkpoint(folder: Path) -> Path:
    """The last whole checkpoint of a training.

    That which MMEngine's ``last_checkpoint`` names, or, if that is missing or
    not whole, the latest ``epoch_N.pth`` or ``iter_N.pth``.

    Args:
        folder (Path): Work dir of the training.

    Returns:
        Path: The checkpoint, or a file that does not exist.
    """
    saved = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
    saved.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    marker = folder / 'last_checkpoint'
    # It may be empty. MMEngine notes an absolute path, but folders get moved.
    named = Path(marker.read_text().strip()).name if marker.is_file() else ''
    for path in ([folder / named] if named else []) + saved:
        if path.is_file() and is_zipfile(path):  # whose index is at the end
            return path
    return folder / 'no checkpoint'


def read_checkpoint(checkpoint: str) -> dict:
    """What a checkpoint holds, on the CPU.

    Since PyTorch 2.6, nothing in it is executed: MMEngine reads with
    ``weights_only=False`` what cannot be read without. Only files and
    http(s) URLs are read so; the others that MMEngine knows, as it reads them.

    Args:
        checkpoint (str): Name of the file, or a URL that MMEngine knows.

    Returns:
        dict: ``state_dict``, of one process, and what else is in it.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no checkpoint, not a whole one, or one that holds
            more than numbers, and would have to be executed.
    """
    read = partial(CheckpointLoader.load_checkpoint, logger='silent')
    if digit_version(torch.__version__) >= digit_version('2.6'):
        if checkpoint.startswith(('http://', 'https://')):
            read = partial(load_state_dict_from_url, weights_only=True)
        elif '://' not in checkpoint:
            read = partial(torch.load, weights_only=True)
    try:
        with names_allowed():
            content = read(checkpoint, map_location='cpu')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'checkpoint {checkpoint} does not exist'
        ) from None
    except URLError as error:
        raise FileNotFoundError(f'{checkpoint}: {error}') from None
    except UnpicklingError as error:
        raise ValueError(
            f'{checkpoint} is no checkpoint, or holds more than numbers'
            f'{_what_of(error)}: to read it would be to execute it'
        ) from None
    except Exception as error:
        # Each place that a file is cut at has an error of its own: OSError,
        # struct.error, IndexError, AssertionError and others.
        raise ValueError(
            f'{checkpoint} is no checkpoint, or not a whole one '
            f'({" ".join(str(error).split())[:100]})'
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f'{checkpoint} holds a {type(content).__name__}, no weights'
        )
    state = content.get('state_dict', content)
    # As MMEngine does, for what DataParallel wrote.
    state = {
        key.removeprefix('module.'): value for key, value in state.items()
    }
    return dict(content, state_dict=state)


def _what_of(error: UnpicklingError) -> str:
    """What PyTorch has refused, in brackets, where it says so."""
    found = re.search(r'GLOBAL (\S+)', str(error))
    return f' ({found[1]})' if found else ''


def load_detector(cfg: Config, checkpoint: str) -> tuple[nn.Module, dict]:
    """Detector of a config with the weights of a checkpoint, on the CPU.

    Args:
        cfg (Config): The config.
        checkpoint (str): Name of the file, or a URL that MMEngine knows.

    Returns:
        tuple[nn.Module, dict]: The detector, for evaluation, and what the
        checkpoint says of its data, ``dict(dataset_meta=...)``; where it says
        nothing, what the config does.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is of another model.
    """
    model = MODELS.build(cfg.model)
    content = read_checkpoint(checkpoint)
    with fitting(checkpoint, model):
        load_state_dict(
            model, content['state_dict'], strict=True, logger='silent'
        )
    return model.eval(), dict(dataset_meta=_dataset_meta(content, cfg))


def _dataset_meta(content: dict, cfg: Config) -> dict:
    """Classes as MMDetection 3 or 2 has written them, or of the config."""
    meta = content.get('meta', {})
    if found := meta.get('dataset_meta'):
        # Of a ConcatDataset whose parts differ in something, a list.
        found = found[0] if isinstance(found, list) else found
        # MMDetection 3.0 and before wrote them in capitals.
        return {k.lower(): v for k, v in found.items()}
    if meta.get('CLASSES'):
        return dict(classes=meta['CLASSES'])
    return read_metainfo(cfg)


@contextmanager
def fitting(checkpoint: str, model: nn.Module) -> Iterator[None]:
    """Say in one line that a checkpoint is of another model."""
    try:
        yield
    # The second is what a head refuses.
    except (RuntimeError, ValueError) as error:
        # A two-stage detector has several heads.
        head = getattr(model, 'bbox_head', model)
        raise ValueError(
            f'{checkpoint} does not fit the {type(head).__name__} of the '
            f'config: {shorten(str(error), MOST_SAID, placeholder=" ...")}'
        ) from None


def check_fits(runner: Runner, checkpoint: str, whole: bool) -> None:
    """Refuse a checkpoint of which MMEngine would load only what fits.

    Done before a training reads its data. The runner's model stays as it is.

    Args:
        runner (Runner): Runner of the training.
        checkpoint (str): Name of the file, or a URL that MMEngine knows.
        whole (bool): Whether the checkpoint has to hold everything that the
            model does, too, as it has to for a training to go on.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no checkpoint, or of another model.
    """
    model = model_of(runner)
    state = read_checkpoint(checkpoint)['state_dict']
    # MMCV's SyncBatchNorm holds its processes, of which there is no copy.
    groups = [m.group for m in model.modules() if hasattr(m, 'group')]
    model = copy.deepcopy(model, {id(group): group for group in groups})
    with fitting(checkpoint, model):
        missing, unknown = model.load_state_dict(state, strict=False)
        if unknown or (whole and missing):
            names = unknown or missing
            raise RuntimeError(
                f'it {"has" if unknown else "lacks"} {", ".join(names[:3])}'
                f'{" and more" * (len(names) > 3)}'
            )


def load_strictly(runner: Runner, checkpoint: str) -> None:
    """Load a checkpoint, a file or a URL, that has to fit in every parameter.

    Not by ``runner.load_checkpoint``, which calls hooks that are not ready
    before ``runner.test()``: of EMAHook's checkpoints the averaged weights
    are loaded, and it copies the model when the test begins.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is of another model, e.g. a stock RetinaNet.
    """
    content = read_checkpoint(checkpoint)
    # As for the test: what is to be trained takes less, see AnchorWeights.
    model = model_of(runner).eval()
    with fitting(checkpoint, model):
        load_state_dict(
            model,
            content['state_dict'],
            strict=True,
            logger=runner.logger,
        )
    # Else the test would load what the config says.
    runner._has_loaded = True
