"""The boxes of a data set that a training is about to see."""

from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import BaseDataset

from .boxes import Boxes, build_steps, resize, resize_boxes


def read_training_boxes(
    dataset: BaseDataset, test_pipeline: Sequence[dict], most: int
) -> Boxes:
    """The boxes of a data set at the size of its pipeline.

    Of the pipeline the steps count that resize; no image is read. Where they
    draw sizes at random, those of the test pipeline take their place, the
    same in every run.

    Args:
        dataset (BaseDataset): As MMDetection builds it, or a wrapper of it.
        test_pipeline (Sequence[dict]): Steps of a test pipeline.
        most (int): Images to look at, at most, at even distances.

    Returns:
        Boxes: Without crowds and others that training ignores. ``areas`` are
        those of the boxes, in px of the original image.

    Raises:
        ValueError: There are none, or sizes are drawn at random, and there
            is no test pipeline.
    """
    steps = find_resizing(dataset)
    if any('Random' in type(step).__name__ for step in steps):
        if not test_pipeline:
            raise ValueError(
                'the training draws the sizes of images at random, and the '
                'config has no test pipeline that would say how large '
                'objects are'
            )
        steps = build_steps(test_pipeline)
    number = len(dataset)
    chosen = np.linspace(0, number - 1, min(number, most)).round().astype(int)
    resized, rows = {}, []
    for index in chosen:
        info = dataset.get_data_info(int(index))
        original = info['width'], info['height']
        if original not in resized:
            resized[original] = resize(steps, *original)
        size, scale = resized[original]
        for instance in info['instances']:
            if not instance['ignore_flag']:
                box = np.array(instance['bbox'], float)
                rows.append(
                    (
                        resize_boxes(steps, box, original, scale),
                        size,
                        (box[2:] - box[:2]).prod(),
                        instance['bbox_label'],
                        info['img_path'],
                    )
                )
    if not rows:
        raise ValueError(f'{len(chosen)} training images hold no boxes')
    boxes, sizes, areas, labels, files = zip(*rows, strict=True)
    return Boxes(
        np.array(boxes, float),
        np.array(sizes, float),
        np.array(areas),
        np.array(labels),
        list(files),
        list(_metainfo(dataset)['classes']),
    )


def _metainfo(dataset: BaseDataset) -> dict:
    """Of data sets side by side that differ in something, the first one's."""
    meta = dataset.metainfo
    return meta[0] if isinstance(meta, list) else meta


def find_resizing(dataset: BaseDataset) -> list[Callable]:
    """Steps that resize in the pipelines of a data set and its wrappers.

    Of several data sets side by side, those of the first.
    """
    steps = []
    while dataset is not None:
        # Its own attributes: SeededDataset has those of the one inside, too,
        # and what resizes would be found twice.
        own = vars(dataset)
        pipeline = own.get('pipeline') or []
        steps = _that_resize(pipeline) + steps
        parts = own.get('datasets') or [None]
        # The second is MMEngine's, of a config with num_batch_per_epoch.
        dataset = own.get('dataset', own.get('_dataset', parts[0]))
    return steps


def _that_resize(pipeline: Callable | Sequence[Callable]) -> list[Callable]:
    """Those of its steps that resize, or that hold such, as RandomChoice."""
    if not isinstance(pipeline, (list, tuple)):
        return _that_resize(getattr(pipeline, 'transforms', ()))
    return [
        step
        for step in pipeline
        if 'Resize' in type(step).__name__ or _that_resize(step)
    ]
