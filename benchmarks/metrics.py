"""The metrics that are reported of a test, by short names."""

# Names of CocoMetric (coco/bbox_mAP, ...), and as column headings.
METRICS = {
    'mAP': 'mAP',
    'mAP_50': 'mAP50',
    'mAP_75': 'mAP75',
    'mAP_s': 'small',
    'mAP_m': 'medium',
    'mAP_l': 'large',
}
# Of proposals: average recall of so many of them, over IoU 0.5 to 0.95.
RECALL = 'AR@'


def read_metrics(metrics: dict) -> dict:
    """The ``METRICS`` among those that MMEngine gives, as fractions.

    CocoMetric gives none at all for a model that detects nothing. Of
    proposals (``metric='proposal'``) it is their average recall, as
    ``AR@100``.

    Raises:
        ValueError: Some are missing, as of another evaluator.
    """
    recall = {
        name.removeprefix('coco/'): float(value)
        for name, value in metrics.items()
        if name.startswith(f'coco/{RECALL}')
    }
    if recall:
        return recall
    if not metrics:
        return dict.fromkeys(METRICS, 0.0)
    names = {name: f'coco/bbox_{name}' for name in METRICS}
    missing = [key for key in names.values() if key not in metrics]
    if missing:
        raise ValueError(
            f'the evaluator gives no {", ".join(missing)}, but '
            f'{", ".join(metrics)}'
        )
    return {name: metrics[key] for name, key in names.items()}
