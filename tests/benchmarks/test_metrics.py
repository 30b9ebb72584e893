"""Metrics of CocoMetric by short names."""

import pytest

from benchmarks.metrics import METRICS, read_metrics


def test_metrics_by_the_names_of_coco_metric():
    given = {f'coco/bbox_{name}': 0.5 for name in METRICS}
    given['coco/bbox_mAP_50'] = 0.75
    assert read_metrics(given) == {
        **dict.fromkeys(METRICS, 0.5),
        'mAP_50': 0.75,
    }


def test_a_model_that_detects_nothing_scores_zero():
    assert read_metrics({}) == dict.fromkeys(METRICS, 0.0)


def test_another_evaluator_is_refused():
    given = {f'coco/bbox_{name}': 0.5 for name in METRICS}
    del given['coco/bbox_mAP_75']
    with pytest.raises(ValueError, match='no coco/bbox_mAP_75, but coco/'):
        read_metrics(given)
    with pytest.raises(ValueError, match='but pascal_voc/mAP'):
        read_metrics({'pascal_voc/mAP': 0.5})


def test_proposals_have_their_recall():
    given = {'coco/AR@100': 0.25, 'coco/AR@1000': 0.5, 'time': 3.0}
    assert read_metrics(given) == {'AR@100': 0.25, 'AR@1000': 0.5}
