"""The matching rules again, one prior and one ground truth at a time."""

import math

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor


def faster_rcnn(priors: Tensor, boxes: Tensor, pos: float, neg: float) -> list:
    iou = bbox_overlaps(boxes, priors)
    best_of_box = [max(row) for row in iou.tolist()]
    labels = []
    for column in iou.t().tolist():
        first_best = [
            (-value, i)
            for i, value in enumerate(column)
            if value == best_of_box[i] and value > 0
        ]
        highest = max(column)
        if first_best:
            labels.append(min(first_best)[1] + 1)
        elif highest > pos:
            labels.append(column.index(highest) + 1)
        else:
            labels.append(0 if highest < neg else -1)
    return labels


def ssd(priors: Tensor, boxes: Tensor, thr: float) -> list:
    iou = bbox_overlaps(boxes, priors)
    labels = [0] * len(priors)
    for prior, column in enumerate(iou.t().tolist()):
        if max(column) > thr:
            labels[prior] = column.index(max(column)) + 1
    left = iou.clone()
    while left.max() > 0:
        box, prior = divmod(int(left.argmax()), len(priors))
        labels[prior] = box + 1
        left[box] = left[:, prior] = 0
    return labels


def shape_iou(box: Tensor, prior: Tensor) -> float:
    (w, h), (pw, ph) = ((b[2:] - b[:2]).tolist() for b in (box, prior))
    overlap = min(w, pw) * min(h, ph)
    return overlap / (w * h + pw * ph - overlap)


def yolov3_of_grid(
    priors: Tensor, boxes: Tensor, thr: float, levels: list[tuple]
) -> list:
    """``levels``: (stride, width, base shapes), in the order of priors."""
    wishes = {}
    for i, box in enumerate(boxes):
        if (box[2:] <= box[:2]).any():
            continue
        options, start = [], 0
        x, y = ((box[:2] + box[2:]) / 2).tolist()
        for stride, width, height, shapes in levels:
            cell = int(y // stride) * width + int(x // stride)
            for a, shape in enumerate(shapes):
                prior = start + cell * len(shapes) + a
                away = math.dist(
                    (x, y),
                    (
                        (x // stride + 0.5) * stride,
                        (y // stride + 0.5) * stride,
                    ),
                )
                base = torch.tensor([0, 0, *shape])
                options.append((shape_iou(box, base), -away, prior))
            start += width * height * len(shapes)
        iou, _, prior = max(options)
        wishes[i] = iou, prior
    return yolov3_of_wishes(priors, boxes, thr, wishes)


def yolov3_of_any(priors: Tensor, boxes: Tensor, thr: float) -> list:
    """Of priors without a grid: the nearest of the best shape."""
    wishes = {}
    for i, box in enumerate(boxes):
        if (box[2:] <= box[:2]).any():
            continue
        fits = [shape_iou(box, prior) for prior in priors]
        best = max(fits)
        center = (box[:2] + box[2:]).tolist()
        away = [
            math.dist(center, (prior[:2] + prior[2:]).tolist())
            if fit > best - 1e-4
            else math.inf
            for fit, prior in zip(fits, priors, strict=True)
        ]
        nearest = [j for j, d in enumerate(away) if d == min(away)]
        if best > 0:
            wishes[i] = best, nearest[-1]
    return yolov3_of_wishes(priors, boxes, thr, wishes)


def yolov3_of_wishes(
    priors: Tensor, boxes: Tensor, thr: float, wishes: dict
) -> list:
    """``wishes``: (IoU of shapes, prior) of every ground truth with area."""
    labels = [
        -1 if value > thr else 0
        for value in bbox_overlaps(boxes, priors).amax(0).tolist()
    ]
    for prior in {prior for _, prior in wishes.values()}:
        rivals = [
            (-iou, i) for i, (iou, wish) in wishes.items() if wish == prior
        ]
        labels[prior] = min(rivals)[1] + 1
    return labels
