"""Speed of a detector beside another, by ratios of alternating runs."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from torch import nn
from tqdm import tqdm

from mmdet_metaanchor.runtime.command_line import quiet

# Runs of each side before it is timed. Until the third training step of a
# large image glibc asks the system for more memory, at a fault per page: 1.2 s
# more than the 7.8 s of RetinaNet R50 at 800x1333.
WARM_UP = 3


def inference(model: nn.Module, batch: dict) -> Callable[[], None]:
    """Detecting in the images of a batch; the model is put to evaluation."""
    model.eval()

    def run() -> None:
        with torch.no_grad():
            model.test_step(batch)

    return run


def training_step(
    model: nn.Module, batch: dict, optim_wrapper: dict
) -> Callable[[], None]:
    """Losses, gradients and update; the model is put to training.

    Args:
        model (nn.Module): The detector.
        batch (dict): As :func:`make_batch` gives it.
        optim_wrapper (dict): Config of the optimizer. The learning rate is 0:
            all of the arithmetic, but no training on noise, which may
            diverge.
    """
    cfg = copy.deepcopy(optim_wrapper)
    cfg.optimizer.lr = 0
    optimizer = build_optim_wrapper(model, cfg)
    model.train()

    def run() -> None:
        model.train_step(batch, optimizer)

    return run


def median_ratio(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Median seconds of both sides, and median and range of the ratios."""
    ratios = sorted(ours / stock for stock, ours in times)
    return dict(
        stock=statistics.median(stock for stock, _ in times),
        ours=statistics.median(ours for _, ours in times),
        ratio=statistics.median(ratios),
        lowest=ratios[0],
        highest=ratios[-1],
    )


def alternate(
    name: str, sides: Sequence[Callable], pairs: int, device: str
) -> list[tuple[float, float]]:
    """Time two sides in turns, after ``WARM_UP`` runs of each.

    The order changes with every pair, so that a drift of the machine cancels.

    Args:
        name (str): What the progress bar says.
        sides (Sequence[Callable]): The two, called without arguments.
        pairs (int): Number of pairs.
        device (str): Where they run.

    Returns:
        list[tuple[float, float]]: Seconds of both sides, in their order.
    """
    for _ in range(WARM_UP):
        for run in sides:
            _seconds(run, device)
    times = []
    for index in tqdm(range(pairs), name, unit='pair'):
        order = (0, 1) if index % 2 == 0 else (1, 0)
        pair = {side: _seconds(sides[side], device) for side in order}
        times.append((pair[0], pair[1]))
    return times


def build_model(cfg: Config, device: str) -> nn.Module:
    """Detector of a config with random weights."""
    model = copy.deepcopy(cfg.model)
    model.backbone.init_cfg = None  # speed needs no pretrained weights
    model = MODELS.build(model)
    with quiet():  # not how each of the parameters starts
        model.init_weights()
    return model.to(device)


def make_batch(
    image_size: tuple[int, int], batch_size: int, objects: int
) -> dict:
    """Images of noise with objects, as a data loader gives them.

    Args:
        image_size (tuple[int, int]): (height, width), px.
        batch_size (int): Number of images.
        objects (int): Ground truths of an image, ``(x1, y1, x2, y2)`` in px,
            all of class 0.

    Returns:
        dict: ``inputs``, (3, height, width) uint8 tensors, and
        ``data_samples``.
    """
    height, width = image_size
    samples = []
    for _ in range(batch_size):
        corner = torch.rand(objects, 2) * torch.tensor([width, height]) * 0.6
        side = (
            20 + torch.rand(objects, 2) * torch.tensor([width, height]) * 0.3
        )
        sample = DetDataSample(
            metainfo=dict(
                img_shape=image_size,
                ori_shape=image_size,
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + side], dim=1),
            labels=torch.zeros(objects, dtype=torch.long),
        )
        samples.append(sample)
    inputs = [
        torch.randint(256, (3, height, width), dtype=torch.uint8)
        for _ in range(batch_size)
    ]
    return dict(inputs=inputs, data_samples=samples)


def _seconds(run: Callable, device: str) -> float:
    """Seconds of one run; on CUDA, between two events of its stream."""
    if device.startswith('cuda'):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1000  # from ms
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
