"""A detector as an ONNX file, which is checked before it is kept."""

import json
import warnings
from collections.abc import Iterable, Sequence
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..runtime.files import replacing
from .anchor_network import AnchorNetwork
from .onnx_network import DetectorNetwork

OPSET = 17
TOLERANCE = 1e-4
# Batch, height and width in px of noise. No side that is checked is a whole
# number of strides.
TRACED = (2, 96, 128)
CHECKED_SIZES = ((1, 100, 70), (3, 61, 215))


def export_onnx(
    model: nn.Module,
    out: str | Path,
    decode: bool = False,
    images: Sequence[np.ndarray] = (),
    anchors_as_input: bool = False,
) -> dict[str, float]:
    """Write the network of a detector to an ONNX file.

    The input is ``images``, the outputs are ``cls_score_0``, ... and
    ``bbox_pred_0``, ..., one per level (of YOLOv3 ``pred_map_0``, ...), or
    ``boxes`` and ``scores``, all float32; :class:`DetectorNetwork` tells
    their shapes and units. Batch, height and width are free. ``out`` is
    replaced once onnxruntime has given what PyTorch gives, for noise of
    several sizes and for ``images``.

    With ``anchors_as_input`` the anchors of a MetaAnchor detector are inputs,
    too, ``anchors_0``, ..., one per level: sizes (w, h) in px, (A, 2), any
    number of them; see :class:`AnchorNetwork`. The comparison is then with
    the model that has been given the same anchors, for 1, 25 and the present
    numbers of them. The file's metadata hold the present ones, as JSON under
    ``anchors``.

    Args:
        model (nn.Module): As for :class:`DetectorNetwork`, or
            :class:`AnchorNetwork`.
        out (str | Path): Name of the file.
        decode (bool): Whether to export boxes and scores.
        images (Sequence[np.ndarray]): (H, W, 3) images to compare with, too.
        anchors_as_input (bool): Whether the anchors are inputs. Boxes and
            scores are the outputs then.

    Returns:
        dict[str, float]: Largest difference from PyTorch of every output,
        as a fraction of its largest value, or of 1 if that is smaller.

    Raises:
        ModuleNotFoundError: onnx or onnxruntime is not installed.
        TypeError: As for :class:`DetectorNetwork`, or
            :class:`AnchorNetwork`.
        ValueError: A difference is above 1e-4.
    """
    _require_packages()
    if anchors_as_input:
        network = AnchorNetwork(model)
    else:
        network = DetectorNetwork(model, decode)
    batches = [_noise(*size) for size in CHECKED_SIZES]
    batches += [batch_of(image) for image in images]
    with replacing(Path(out)) as part:
        _write(network, part)
        differences = largest_differences(
            network, part, network.examples(batches)
        )
        # Not `>`, which lets NaN pass.
        if not all(value <= TOLERANCE for value in differences.values()):
            raise ValueError(
                f'onnxruntime differs from PyTorch by more than {TOLERANCE}, '
                f'so {out} was not written: {differences}'
            )
    return differences


def largest_differences(
    network: DetectorNetwork,
    path: str | Path,
    examples: Iterable[Sequence[np.ndarray]],
) -> dict[str, float]:
    """Largest difference of an ONNX file from the network it was made of.

    Args:
        network (DetectorNetwork): The network.
        path (str | Path): The file.
        examples (Iterable[Sequence[np.ndarray]]): Inputs, float32: (N, 3,
            H, W) images, and what else the network takes.

    Returns:
        dict[str, float]: As :func:`export_onnx` returns.
    """
    session = open_onnx(path)
    names = list(network.dynamic_axes)
    largest = dict.fromkeys(names, 0.0)
    for arrays in examples:
        with torch.no_grad():
            expected = network.reference(*map(torch.from_numpy, arrays))
        inputs = zip(network.input_axes, arrays, strict=True)
        actual = session.run(names, dict(inputs))
        for name, ours, theirs in zip(names, actual, expected, strict=True):
            theirs = theirs.numpy()
            unit = max(1.0, float(np.abs(theirs).max()))
            difference = float(np.abs(ours - theirs).max()) / unit
            largest[name] = float(np.maximum(largest[name], difference))
    return largest


def batch_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) image to the (1, 3, H, W) float32 that the network takes."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def open_onnx(path: str | Path):
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
    inputs, outputs = network.input_axes, network.dynamic_axes
    with warnings.catch_warnings():
        # It says that it is the older one, and, of assertions in
        # MMDetection, that they are not part of the graph.
        warnings.simplefilter('ignore', DeprecationWarning)
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        # Of constants that it leaves as computations, a few numbers each.
        warnings.filterwarnings('ignore', 'Constant folding')
        torch.onnx.export(
            network,
            tuple(map(torch.from_numpy, network.traced(_noise(*TRACED)))),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            opset_version=OPSET,
            **options,
        )
    _note(path, network.metadata)


def _note(path: Path, metadata: dict) -> None:
    """Write values, as JSON, into the metadata of a file."""
    import onnx

    if not metadata:
        return
    content = onnx.load(str(path))
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(content, texts)
    onnx.save(content, str(path))
