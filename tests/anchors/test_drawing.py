"""DrawnBoxes and anchors over an image."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmdet_metaanchor.anchors.drawing import (
    ANCHOR_COLOURS,
    CLASS_COLOURS,
    DrawnBoxes,
    above_threshold,
    draw_boxes,
    form_colour,
    image_grid,
)

CORNERS = np.array([[10, 20, 50, 40], [60, 30, 90, 100], [5, 5, 25, 25.0]])
FOUND = DrawnBoxes(CORNERS, np.array([1, 0, 1]), np.array([0.9, 0.3, 0.31]))
TRUTH = DrawnBoxes(CORNERS[:2], np.array([1, 0]))
IMAGE = np.full((120, 160, 3), 128, np.uint8)


def test_only_scores_above_the_threshold():
    kept = above_threshold(FOUND, 0.3)  # 0.3 is not above 0.3
    assert kept.scores.tolist() == [0.9, 0.31]
    assert kept.corners.tolist() == CORNERS[[0, 2]].tolist()
    assert kept.labels.tolist() == [1, 1]


def test_truth_has_no_threshold():
    assert above_threshold(TRUTH, 0.99) is TRUTH


def test_boxes_with_their_names_and_colours():
    ((axes,),) = image_grid(1, 1, IMAGE)
    draw_boxes(axes, IMAGE, FOUND, ('cat', 'dog'))
    # The surest last, over the others: 30, 31, then 90 %.
    order = [1, 2, 0]
    drawn = [patch.get_bbox().extents.tolist() for patch in axes.patches]
    assert drawn == CORNERS[order].tolist()
    texts = [text.get_text() for text in axes.texts]
    assert texts == ['cat 30%', 'dog 31%', 'dog 90%']
    colours = [to_rgb(patch.get_edgecolor()) for patch in axes.patches]
    labels = FOUND.labels[order]
    assert colours == [to_rgb(CLASS_COLOURS[label]) for label in labels]


@pytest.mark.parametrize('panel', [4.3, 2.0])
def test_labels_lie_in_the_picture(panel):
    corners = np.array([[-9.0, -5, 30, 20], [150, 100, 170, 130]])
    boxes = DrawnBoxes(corners, np.array([0, 0]), np.array([1.0, 1.0]))
    ((axes,),) = image_grid(1, 1, IMAGE, panel)
    draw_boxes(axes, IMAGE, boxes, ('a longer name',), panel)
    axes.figure.draw_without_rendering()
    inside = axes.get_window_extent().padded(3)
    for text in axes.texts:
        corners = text.get_window_extent().corners()
        assert inside.count_contains(corners) == 4


@pytest.mark.parametrize(
    ('form', 'size'),
    [('wide', (40, 20)), ('square', (30, 30)), ('tall', (20, 40))],
)
def test_colour_of_an_anchor_says_its_form(form, size):
    corners = np.array([-5, 7, *np.add((-5, 7), size)])
    assert form_colour(corners) == ANCHOR_COLOURS[form]
