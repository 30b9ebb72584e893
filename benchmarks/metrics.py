"""The metrics of COCO that are reported, by short names."""

# Names of CocoMetric (coco/bbox_mAP, ...), and as column headings.
METRICS = {
    'mAP': 'mAP',
    'mAP_50': 'mAP50',
    'mAP_75': 'mAP75',
    'mAP_s': 'small',
    'mAP_m': 'medium',
    'mAP_l': 'large',
}


def read_metrics(metrics: dict) -> dict:
    """The ``METRICS`` among those that MMEngine gives, as fractions.

    CocoMetric gives none at all for a model that detects nothing.
    """
    found = {name: metrics.get(f'coco/bbox_{name}') for name in METRICS}
    return dict.fromkeys(METRICS, 0.0) if None in found.values() else found
