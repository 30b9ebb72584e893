"""A detector as an ONNX file, which is checked before it is kept."""

import warnings
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..runtime.files import replacing
from .onnx_network import DetectorNetwork

OPSET = 17
TOLERANCE = 1e-4
# Batch, height and width in px of noise. No side that is checked is a whole
# number of strides.
TRACED = (2, 96, 128)
CHECKED = ((1, 100, 70), (3, 61, 215))


def export_onnx(
    model: nn.Module,
    out: str | Path,
    decode: bool = False,
    images: Sequence[np.ndarray] = (),
) -> dict[str, float]:
    """Write the network of a detector to an ONNX file.

    The input is ``images``, the outputs are ``cls_score_0``, ... and
    ``bbox_pred_0``, ..., one per level (of YOLOv3 ``pred_map_0``, ...), or
    ``boxes`` and ``scores``, all float32; :class:`DetectorNetwork` tells
    their shapes and units. Batch, height and width are free. ``out`` is
    replaced once onnxruntime has given what PyTorch gives, for noise of
    several sizes and for ``images``.

    Args:
        model (nn.Module): As for :class:`DetectorNetwork`.
        out (str | Path): Name of the file.
        decode (bool): Whether to export boxes and scores.
        images (Sequence[np.ndarray]): (H, W, 3) images to compare with, too.

    Returns:
        dict[str, float]: Largest difference from PyTorch of every output,
        as a fraction of its largest value, or of 1 if that is smaller.

    Raises:
        ModuleNotFoundError: onnx or onnxruntime is not installed.
        TypeError: As for :class:`DetectorNetwork`.
        ValueError: As for :class:`DetectorNetwork`, or a difference is above
            1e-4.
    """
    _require_packages()
    network = DetectorNetwork(model, decode)
    noise = [_noise(*size) for size in CHECKED]
    with replacing(Path(out)) as part:
        _write(network, part)
        differences = largest_differences(
            network, part, noise + [batch_of(image) for image in images]
        )
        # Not `>`, which lets NaN pass.
        if not all(value <= TOLERANCE for value in differences.values()):
            raise ValueError(
                f'onnxruntime differs from PyTorch by more than {TOLERANCE}, '
                f'so {out} was not written: {differences}'
            )
    return differences


def largest_differences(
    network: DetectorNetwork, path: str | Path, batches: Sequence[np.ndarray]
) -> dict[str, float]:
    """Largest difference of an ONNX file from the network it was made of.

    Args:
        network (DetectorNetwork): The network.
        path (str | Path): The file.
        batches (Sequence[np.ndarray]): Inputs, each (N, 3, H, W) float32.

    Returns:
        dict[str, float]: As :func:`export_onnx` returns.
    """
    session = open_session(path)
    names = list(network.dynamic_axes)
    largest = dict.fromkeys(names, 0.0)
    for batch in batches:
        with torch.no_grad():
            expected = network(torch.from_numpy(batch))
        actual = session.run(names, {'images': batch})
        for name, ours, theirs in zip(names, actual, expected, strict=True):
            theirs = theirs.numpy()
            unit = max(1.0, float(np.abs(theirs).max()))
            difference = float(np.abs(ours - theirs).max()) / unit
            largest[name] = float(np.maximum(largest[name], difference))
    return largest


def batch_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) image to the (1, 3, H, W) float32 that the network takes."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def open_session(path: str | Path):
    """``onnxruntime.InferenceSession`` of a file, with PyTorch's threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider']
    )


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401 (PyTorch's exporter imports it)
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{error.name} is not installed: pip install onnx onnxruntime'
        ) from None


def _noise(batch: int, height: int, width: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(
        0, 256, (batch, 3, height, width)
    )
    return pixels.astype(np.float32)


def _write(network: DetectorNetwork, path: Path) -> None:
    # The exporter of torch.export, the default since PyTorch 2.9, takes
    # padding and FPN's sizes for fixed ones; that of TorchScript does not.
    options = {}
    if 'dynamo' in signature(torch.onnx.export).parameters:
        options['dynamo'] = False
    axes = network.dynamic_axes
    with warnings.catch_warnings():
        # It says that it is the older one, and, of assertions in
        # MMDetection, that they are not part of the graph.
        warnings.simplefilter('ignore', DeprecationWarning)
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            (torch.from_numpy(_noise(*TRACED)),),
            str(path),
            input_names=['images'],
            output_names=list(axes),
            dynamic_axes={
                'images': {0: 'batch', 2: 'height', 3: 'width'},
                **axes,
            },
            opset_version=OPSET,
            **options,
        )
