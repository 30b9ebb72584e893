"""Time and memory of assigners and coders beside MMDetection's own."""

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.structures import InstanceData
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.timing import alternate, median_ratio
from mmdet_metaanchor.published.assigners import (
    FasterRCNNAssigner,
    SSDAssigner,
    YOLOv3Assigner,
)
from mmdet_metaanchor.published.coders import (
    CornersVarianceBBoxCoder,
    DeltaXYWHVarianceBBoxCoder,
    MinMaxVarianceBBoxCoder,
)

STRIDES = (8, 16, 32, 64, 128)
ASSIGNERS = (FasterRCNNAssigner(0.5, 0.4), SSDAssigner(), YOLOv3Assigner())
CODERS = (
    DeltaXYWHVarianceBBoxCoder(),
    CornersVarianceBBoxCoder(),
    MinMaxVarianceBBoxCoder(),
)
# MaxIoUAssigner holds about this many matrices of IoU at once; it is left out
# where they do not fit.
DENSE_MATRICES = 6


class Comparison(NamedTuple):
    """One part beside the stock one; ``None`` where stock was left out.

    Seconds are medians, ``ratio`` the median of the ratios of pairs, memory
    the peak of what is allocated, in bytes.
    """

    part: str
    priors: int
    boxes: int
    seconds: float
    stock_seconds: float | None
    ratio: float | None
    memory: int
    stock_memory: int | None


def make_priors(
    priors_per_cell: int, image_size: tuple[int, int], device: str
) -> Tensor:
    """Priors of a RetinaNet with a square grid of scales and ratios.

    Args:
        priors_per_cell (int): A square number, 9 for 3 scales x 3 ratios.
        image_size (tuple[int, int]): (height, width) in px.
        device (str): Where to put them.

    Returns:
        Tensor: (n, 4) boxes ``(x1, y1, x2, y2)`` in px.

    Raises:
        ValueError: ``priors_per_cell`` is not a square number.
    """
    side = math.isqrt(max(priors_per_cell, 0))
    if side < 1 or side**2 != priors_per_cell:
        raise ValueError(
            f'priors_per_cell must be 1, 4, 9, 16, ..., got {priors_per_cell}'
        )
    generator = AnchorGenerator(
        strides=list(STRIDES),
        octave_base_scale=4,
        scales_per_octave=side,
        # 1/2 to 2 with three, 1/5 to 5 with nine, evenly in log-space
        ratios=torch.linspace(-1, 1, side).mul(math.log((side + 1) / 2)).exp(),
    )
    height, width = image_size
    sizes = [(-(-height // s), -(-width // s)) for s in STRIDES]
    return torch.cat(generator.grid_priors(sizes, device=device))


def make_boxes(
    number: int, image_size: tuple[int, int], device: str
) -> InstanceData:
    """Ground truths of 16 to 400 px, log-uniform, and ratios up to 2.

    Args:
        number (int): How many.
        image_size (tuple[int, int]): (height, width) in px to clip to.
        device (str): Where to put them.

    Returns:
        :obj:`InstanceData`: ``bboxes`` ``(x1, y1, x2, y2)`` in px, and
        ``labels``, all 0.
    """
    draw = torch.Generator().manual_seed(number)
    height, width = image_size
    image = torch.tensor([width, height])
    low, high = math.log(16), math.log(400)
    area = torch.rand(number, 1, generator=draw) * (high - low) + low
    ratio = (torch.rand(number, 1, generator=draw) - 0.5) * math.log(2)
    size = torch.cat([area - ratio, area + ratio], 1).exp()
    center = torch.rand(number, 2, generator=draw) * image
    corners = [(center + side * size / 2) for side in (-1, 1)]
    corners = [c.clamp(min=0).minimum(image) for c in corners]
    return InstanceData(
        bboxes=torch.cat(corners, 1).to(device),
        labels=torch.zeros(number, dtype=torch.long, device=device),
    )


def compare_assigners(
    priors_per_cell: int,
    numbers: list[int],
    image_size: tuple[int, int],
    pairs: int,
    max_bytes: float,
    device: str,
) -> Iterator[Comparison]:
    """Every assigner beside :class:`MaxIoUAssigner`, in turns.

    Args:
        priors_per_cell (int): See :func:`make_priors`.
        numbers (list[int]): Numbers of ground truths.
        image_size (tuple[int, int]): (height, width) in px.
        pairs (int): Measurements of both sides.
        max_bytes (float): Stock is left out where it needs more.
        device (str): Where to run.

    Yields:
        Comparison: Of one assigner at one number.
    """
    stock = MaxIoUAssigner(0.5, 0.4, min_pos_iou=0)
    priors = InstanceData(
        priors=make_priors(priors_per_cell, image_size, device)
    )
    for number in numbers:
        boxes = make_boxes(number, image_size, device)
        dense = 4 * number * len(priors) * DENSE_MATRICES
        for assigner in ASSIGNERS:
            yield _compare(
                type(assigner).__name__,
                assigner,
                lambda part, boxes=boxes: part.assign(priors, boxes),
                stock if dense <= max_bytes else None,
                (len(priors), number),
                pairs,
                device,
            )


def compare_coders(
    numbers: list[int], pairs: int, device: str
) -> Iterator[Comparison]:
    """Every coder beside :class:`DeltaXYWHBBoxCoder`, in turns.

    Args:
        numbers (list[int]): Numbers of pairs of a prior and a box.
        pairs (int): Measurements of both sides.
        device (str): Where to run.

    Yields:
        Comparison: Of encoding, then decoding, with one coder.
    """
    stock = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    for number in numbers:
        priors = make_boxes(number, (800, 1333), device).bboxes
        boxes = priors + torch.rand_like(priors)
        offsets = torch.randn_like(priors)
        for coder in CODERS:
            runs = dict(
                encode=lambda part, a=priors, b=boxes: part.encode(a, b),
                decode=lambda part, a=priors, b=offsets: part.decode(a, b),
            )
            for what, run in runs.items():
                yield _compare(
                    f'{type(coder).__name__}.{what}',
                    coder,
                    run,
                    stock,
                    (number, number),
                    pairs,
                    device,
                )


def peak_allocation(run: Callable[[], None], device: str) -> int:
    """Most memory that PyTorch held at once for a run, in bytes.

    Read from the trace of the profiler, where every allocation says how much
    is held after it.
    """
    activities = [ProfilerActivity.CPU]
    kind = 0
    if device.startswith('cuda'):
        activities.append(ProfilerActivity.CUDA)
        kind = 1
    with profile(activities=activities, profile_memory=True) as trace:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'trace.json')
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    memory = [
        (event['ts'], event['args']['Bytes'])
        for event in events
        if event.get('name') == '[memory]'
        and event['args']['Device Type'] == kind
    ]
    held = most = 0
    for _, change in sorted(memory, key=lambda event: event[0]):
        held += change
        most = max(most, held)
    return most


def _compare(name, part, run, stock, sizes, pairs, device) -> Comparison:
    memory = peak_allocation(lambda: run(part), device)
    label = f'{name}, {sizes[0]} x {sizes[1]}'
    if stock is None:
        times = alternate(label, [lambda: run(part)] * 2, pairs, device)
        seconds = statistics.median(t for pair in times for t in pair)
        return Comparison(name, *sizes, seconds, None, None, memory, None)
    times = alternate(
        label, [lambda: run(stock), lambda: run(part)], pairs, device
    )
    row = median_ratio(times)
    return Comparison(
        name,
        *sizes,
        row['ours'],
        row['stock'],
        row['ratio'],
        memory,
        peak_allocation(lambda: run(stock), device),
    )
