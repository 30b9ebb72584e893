"""Size, time and mAP of a detector's ONNX file in fp32, fp16 and int8.

A MetaAnchor detector is baked first, and beside it stands its file that takes
the anchors as inputs. Time is that of onnxruntime on one thread, beside fp32's
in alternating runs on the same images; mAP is of the images of val.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.models import RPN
from mmdet.models.layers import multiclass_nms
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn
from tqdm import tqdm

from benchmarks import tables
from benchmarks.machine import (
    describe_commit,
    describe_machine,
    describe_versions,
)
from benchmarks.metrics import read_metrics
from benchmarks.onnx_files import FP32, write_files
from benchmarks.speed.timing import alternate, median_ratio
from mmdet_metaanchor import MetaHeadMixin
from mmdet_metaanchor.anchors.customize import list_shapes
from mmdet_metaanchor.datasets.coco import read_images
from mmdet_metaanchor.export.onnx_export import open_onnx
from mmdet_metaanchor.runtime.checkpoints import load_detector
from mmdet_metaanchor.runtime.command_line import one_line_errors, quiet
from mmdet_metaanchor.runtime.files import write_json

# Boxes (n, 4) and scores (n, C) of an image, (3, H, W) pixels.
Detect = Callable[[torch.Tensor], tuple[np.ndarray, np.ndarray]]


def detector_of(path: Path, anchors: dict[str, np.ndarray]) -> Detect:
    """What detects with an ONNX file, on PyTorch's number of threads."""
    session = open_onnx(path)
    names = {value.name for value in session.get_inputs()}
    fixed = {name: anchors[name] for name in names - {'images'}}

    def detect(pixels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        images = pixels[None].float().numpy()
        (boxes,), (scores,) = session.run(None, {'images': images, **fixed})
        return boxes, scores

    return detect


def mean_precision(
    detect: Detect, images: CocoDataset, cfg: Config, test_cfg: Config
) -> dict[str, float]:
    """COCO metrics, fractions, of what is detected in the images of val."""
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = images.metainfo
    for item in tqdm(images, 'mAP', unit='image', total=len(images)):
        sample = item['data_samples']
        boxes, scores = map(torch.from_numpy, detect(item['inputs']))
        sample.pred_instances = _suppress(boxes, scores, sample, test_cfg)
        evaluator.process(data_samples=[sample])
    return read_metrics(evaluator.evaluate(len(images)))


def _suppress(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    sample: DetDataSample,
    test_cfg: Config,
) -> InstanceData:
    """Detections, boxes (x1, y1, x2, y2) in px of the image as it was."""
    background = scores.new_zeros(len(scores), 1)
    found, labels = multiclass_nms(
        boxes,
        torch.cat([scores, background], 1),
        test_cfg.score_thr,
        test_cfg.nms,
        test_cfg.max_per_img,
    )
    scale = found.new_tensor(sample.scale_factor).repeat(2)
    return InstanceData(
        bboxes=found[:, :4] / scale, scores=found[:, 4], labels=labels
    )


def compare_precisions(
    model: nn.Module, cfg: Config, folder: Path, pairs: int
) -> list[dict]:
    """Size, time and metrics of every file.

    Returns:
        list[dict]: ``name``; ``bytes``; ``seconds`` of an image and ``ratio``
        to fp32's, medians, with the ``lowest`` and the ``highest``; COCO
        ``metrics``, fractions.

    Raises:
        ValueError: The detector has two stages, or only proposes.
    """
    if isinstance(model, RPN) or not hasattr(model, 'bbox_head'):
        raise ValueError(
            'a detector of one stage that knows classes is needed, got '
            f'{type(model).__name__}'
        )
    anchors = {
        f'anchors_{level}': np.float32(sizes)
        for level, sizes in enumerate(
            list_shapes(model.bbox_head.prior_generator)
            if isinstance(model.bbox_head, MetaHeadMixin)
            else []
        )
    }
    images = read_images(cfg, 'val')
    files, test_cfg = write_files(model, cfg, folder)
    pixels = [images[i]['inputs'] for i in range(min(20, len(images)))]
    detectors = {
        name: detector_of(path, anchors) for name, path in files.items()
    }
    rows = []
    for name, path in files.items():
        sides = [_run(detectors[kind], pixels) for kind in (FP32, name)]
        times = median_ratio(alternate(name, sides, pairs, 'cpu'))
        with quiet():
            metrics = mean_precision(detectors[name], images, cfg, test_cfg)
        rows.append(
            dict(
                name=name,
                bytes=path.stat().st_size,
                seconds=times['ours'],
                **{key: times[key] for key in ('ratio', 'lowest', 'highest')},
                metrics=metrics,
            )
        )
    return rows


def _run(detect: Detect, pixels: Sequence) -> Callable[[], None]:
    turns: Iterator = cycle(pixels)
    return lambda: detect(next(turns))


def table_of(rows: Sequence[dict]) -> list[list[str]]:
    """Rows of a table, the first being its head."""
    head = ['file', 'MB', 'ms per image', 'time, to fp32', 'mAP', 'mAP50']
    return [head] + [
        [
            row['name'],
            f'{row["bytes"] / 1e6:.2f}',
            f'{row["seconds"] * 1e3:.1f}',
            f'{row["ratio"]:.2f}',
            f'{100 * row["metrics"]["mAP"]:.1f}',
            f'{100 * row["metrics"]["mAP_50"]:.1f}',
        ]
        for row in rows
    ]


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.onnx_precision', description=__doc__
    )
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('folder', type=Path, help='folder for the files')
    parser.add_argument(
        '--pairs', type=int, default=100, help='timed runs (default: 100)'
    )
    args = parser.parse_args()
    if args.pairs < 1:
        parser.error(f'--pairs must be positive, got {args.pairs}')
    return args


def main() -> None:
    """What the module does as a program."""
    args = parse_args()
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    with one_line_errors():
        cfg = Config.fromfile(args.config)
        model, _ = load_detector(cfg, args.checkpoint)
        args.folder.mkdir(parents=True, exist_ok=True)
        rows = compare_precisions(model, cfg, args.folder, args.pairs)
    about = dict(
        config=Path(args.config).name,
        pairs=args.pairs,
        machine=describe_machine(),
        versions=describe_versions(),
        commit=describe_commit(),
    )
    write_json(args.folder / 'precision.json', dict(about, rows=rows))
    print(tables.markdown(table_of(rows)))


if __name__ == '__main__':
    main()
