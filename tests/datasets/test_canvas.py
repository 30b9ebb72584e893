"""One picture: laws of its boxes and of its ink."""

import math
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from mmdet_metaanchor.datasets.canvas import INK, MAX_OVERLAP, draw_image

IMAGES = load_digits().images
CROWD = dict(
    image_size=(200, 160),
    size_range=(12, 120),
    ratio_range=(1 / 3, 3),
    objects=(3, 12),
)


def draw(seed, images=IMAGES, **options):
    return draw_image(np.random.default_rng(seed), images, **options)


def test_the_source_digits_are_left_as_they_are():
    images = IMAGES[:20].copy()
    draw(0, images, **CROWD)
    assert np.array_equal(images, IMAGES[:20])


def test_picture_has_the_size_asked_for():
    picture, _ = draw(0, **CROWD)
    assert picture.shape == (160, 200, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize('seed', range(5))
def test_boxes_are_tight_around_the_ink(seed):
    picture, digits = draw(seed, **CROWD)
    for _, (x, y, w, h), alpha in digits:
        ink = np.zeros(picture.shape[:2], np.uint8)
        ink[y : y + h, x : x + w] = alpha > INK
        assert cv2.boundingRect(ink) == (x, y, w, h)


@pytest.mark.parametrize('seed', range(5))
def test_boxes_hardly_overlap(seed):
    _, digits = draw(seed, **CROWD)
    boxes = [box for _, box, _ in digits]
    for (x, y, w, h), (px, py, pw, ph) in combinations(boxes, 2):
        shared_w = min(x + w, px + pw) - max(x, px)
        shared_h = min(y + h, py + ph) - max(y, py)
        shared = max(shared_w, 0) * max(shared_h, 0)
        assert shared <= MAX_OVERLAP * min(w * h, pw * ph)


@pytest.mark.parametrize('seed', range(5))
def test_ink_differs_from_the_paper_around_it(seed):
    # The same seed draws the same scene, box and colour whatever the digit,
    # so two digits make pictures that differ where just one of them has ink.
    options = dict(
        image_size=(128, 128),
        size_range=(40, 60),
        ratio_range=(1 / 2, 2),
        objects=(1, 1),
    )
    dot = np.zeros((1, 8, 8))
    dot[0, 3:5, 3:5] = 16
    with_ink, [(_, (x, y, w, h), alpha)] = draw(seed, IMAGES[:1], **options)
    dotted, [(_, box, dot_alpha)] = draw(seed, dot, **options)
    assert box == (x, y, w, h)
    changed = np.abs(with_ink.astype(int) - dotted).max(axis=2)
    outside = changed.copy()  # the lens blurs over less than 3 px
    outside[max(y - 3, 0) : y + h + 3, max(x - 3, 0) : x + w + 3] = 0
    assert outside.max() == 0
    only_one = np.abs(alpha - dot_alpha) == 1
    inside = changed[y : y + h, x : x + w][only_one]
    assert np.median(inside) > 40


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.floats(8, 60), st.floats(8, 60)).map(sorted),
    ratio=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)).map(sorted),
    seed=st.integers(0, 2**32),
)
def test_boxes_keep_to_the_ranges_and_the_image(size, ratio, seed):
    width, height = 150, 140  # 60 px of ratio 5: 60 * sqrt(5) = 134.2 px high
    _, digits = draw(
        seed,
        image_size=(width, height),
        size_range=size,
        ratio_range=ratio,
        objects=(1, 6),
    )
    assert 1 <= len(digits) <= 6
    for _, (x, y, w, h), _ in digits:
        assert 0 <= x and x + w <= width
        assert 0 <= y and y + h <= height
        # Each side is rounded, so half a pixel either way.
        assert size[0] <= math.sqrt((w + 0.5) * (h + 0.5)) + 1e-9
        assert size[1] >= math.sqrt((w - 0.5) * (h - 0.5)) - 1e-9
        assert ratio[0] <= (h + 0.5) / (w - 0.5) + 1e-9
        assert ratio[1] >= (h - 0.5) / (w + 0.5) - 1e-9


@pytest.mark.parametrize('seed', range(5))
def test_a_ratio_is_drawn_within_what_fits_the_image(seed):
    # 160 px at ratio 3 would be 160 * sqrt(3) = 277 px high; 240 px allow
    # a ratio of (240 / 160)^2 = 2.25.
    _, [(_, (_, _, w, h), _)] = draw(
        seed,
        image_size=(320, 240),
        size_range=(160, 160),
        ratio_range=(2, 3),
        objects=(1, 1),
    )
    assert 226 <= h <= 240  # 160 * sqrt(2) = 226.3
    assert abs(math.sqrt(w * h) - 160) < 1


def test_the_largest_size_that_fits_is_drawn():
    _, [(_, box, _)] = draw(
        0,
        image_size=(90, 40),
        size_range=(60, 60),
        ratio_range=(1 / 3, 3),
        objects=(1, 1),
    )
    # sqrt(90 * 40) = 60: only the whole image has that size.
    assert box == (0, 0, 90, 40)
