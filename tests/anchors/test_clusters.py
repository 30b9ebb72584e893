import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import TASK_UTILS

from mmdet_metaanchor import dimension_clusters, read_anchors
from mmdet_metaanchor.anchors import clusters
from mmdet_metaanchor.anchors.clusters import (
    cluster_anchors,
    knee,
    mean_iou,
    shape_iou,
)
from mmdet_metaanchor.anchors.customize import build_anchors
from mmdet_metaanchor.method.shape_range import reach_of_box

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'digits' / 'meta-retinanet_r18-w32_digits.py'


def test_shape_iou_by_hand():
    # (4, 2) and (2, 4): 2 * 2 / (8 + 8 - 4); (4, 2) and (4, 4): 8 / 16
    iou = shape_iou(np.array([[4.0, 2]]), np.array([[2.0, 4], [4, 4]]))
    np.testing.assert_allclose(iou, [[1 / 3, 1 / 2]])


def test_finds_what_is_there():
    rng = np.random.default_rng(0)
    true = np.array([[10.0, 30], [40, 20], [100, 120]])
    sizes = true.repeat(50, 0) * rng.uniform(0.95, 1.05, (150, 2))
    np.testing.assert_allclose(dimension_clusters(sizes, 3), true, rtol=0.02)


def test_one_cluster_is_the_mean():
    sizes = np.array([[10.0, 20], [20, 10], [30, 30]])
    np.testing.assert_allclose(dimension_clusters(sizes, 1), [[20, 20]])


def test_as_many_clusters_as_sizes_fit_all():
    sizes = np.array([[10.0, 20], [20, 10], [30, 30], [30, 30]])
    clusters = dimension_clusters(sizes, 3)
    assert mean_iou(sizes, clusters) == 1
    assert clusters.prod(1).tolist() == [200, 200, 900]


def test_more_clusters_fit_better_and_the_seed_decides():
    sizes = np.exp(np.random.default_rng(0).uniform(2, 5, (300, 2)))
    scores = [
        mean_iou(sizes, dimension_clusters(sizes, number))
        for number in (1, 2, 4, 8)
    ]
    assert scores == sorted(scores)
    first, again = (dimension_clusters(sizes, 5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_input_is_not_changed():
    sizes = np.array([[10.0, 20], [20, 10], [30, 30]])
    copy = sizes.copy()
    dimension_clusters(sizes, 2)
    np.testing.assert_array_equal(sizes, copy)


@pytest.mark.parametrize('bad', [0, -3, float('nan'), float('inf')])
def test_refuses_sizes(bad, generator):
    sizes = [[10, 10], [10, bad]]
    message = re.escape(f'got [10.0, {float(bad)}]')
    with pytest.raises(ValueError, match=message):
        dimension_clusters(sizes, 1)
    with pytest.raises(ValueError, match=message):
        cluster_anchors(sizes, generator, 1)


@pytest.mark.parametrize('number', [0, 3])
def test_refuses_number(number):
    with pytest.raises(ValueError, match=f'2 distinct sizes, got {number}'):
        dimension_clusters([[10, 10], [10, 20], [10, 20]], number)


@pytest.fixture
def generator():
    return TASK_UTILS.build(
        dict(
            type='MetaAnchorGenerator',
            strides=[8, 16, 32],
            scales=[3, 4, 6],
            ratios=[1.0],
            jitter=(0.0, 0.9),
        )
    )


def test_sizes_beyond_the_trained_ones_are_drawn_in(generator):
    """At stride 8 the trained ones are 24 to 48 px, at stride 32 96 to 192.

    The jitter is 0.1 in log size and 0.6 in log ratio, of 1: e^0.6 = 1.82.
    """
    generator.jitter = (0.1, 0.6)
    small, wide, large = [6.0, 6], [60.0, 20], [500.0, 500]
    sizes = np.array([small, wide, large]).repeat(5, 0)
    anchors = cluster_anchors(sizes, generator, 3)
    small, large = 24 / np.exp(0.1), 48 * np.exp(0.1)
    side = np.sqrt(60 * 20)  # its size stays, its ratio becomes e^0.6
    np.testing.assert_allclose(
        sorted(anchors[0]),
        [
            (small, small),
            (side * np.exp(0.3), side / np.exp(0.3)),
            (large, large),
        ],
        rtol=1e-6,
    )


def test_the_range_of_a_checkpoint_comes_before_that_of_the_config(generator):
    sizes = np.array([[50.0, 25]])  # which the jitter reaches
    np.testing.assert_allclose(cluster_anchors(sizes, generator, 1)[0], sizes)
    low, high = torch.tensor([[-9.0, 0], [9, 0]])
    square = reach_of_box(low, high)[None]
    anchors = cluster_anchors(sizes, generator, 1, shape_range=square)
    side = np.sqrt(50 * 25)
    np.testing.assert_allclose(anchors[0], [(side, side)], rtol=1e-6)
    for free in (
        dict(shape_range=torch.full((1, 64), np.nan)),  # it is not known
        dict(shape_range=square, beyond_range=True),
    ):
        anchors = cluster_anchors(sizes, generator, 1, **free)
        np.testing.assert_allclose(anchors[0], sizes, rtol=1e-6)


def test_it_says_how_many_boxes_are_beyond(generator, monkeypatch):
    told = []
    monkeypatch.setattr(
        clusters, 'print_log', lambda text, **kwargs: told.append(text)
    )
    generator.jitter = 0.0
    # Ratios 1 and 3: within a square of the same area a box of ratio r has
    # 1 / sqrt(r) of the area, an IoU of 1 / (2 sqrt(r) - 1): 0.41 for 3, 0.55
    # for 2.
    sizes = np.array([[30.0, 30]] * 5 + [[40.0, 20]] * 2 + [[60.0, 20]] * 3)
    cluster_anchors(sizes[:7], generator, 1)
    assert not told
    cluster_anchors(sizes, generator, 1)
    assert told[0].startswith('3 of 10 boxes ')


def test_a_standard_box_per_level_measures_the_boxes_of_its_level(generator):
    """Sizes 40 px and 400 px: each is the standard box of its own level."""
    generator.standard_box = ((40, 40), (100, 100), (200, 800))
    sizes = np.array([[40.0, 40], [800, 200]])
    anchors = cluster_anchors(sizes, generator, 1, beyond_range=True)
    expected = [[(40, 40)], [(100, 100)], [(800, 200)]]
    np.testing.assert_allclose(anchors, expected, rtol=1e-6)


def test_levels_share_clusters_relative_to_their_strides(generator):
    # The standard box is of 34.7 px at stride 8, 69 at 16, 139 at 32.
    small, tall = np.array([[32.0, 32]]), np.array([[24.0, 48]])
    sizes = np.vstack([small, tall * 2, small * 4]).repeat(5, 0)
    anchors = cluster_anchors(sizes, generator, 2)
    np.testing.assert_allclose(anchors[0], [[32, 32], [24, 48]])
    np.testing.assert_allclose(anchors[1], [[64, 64], [48, 96]])
    np.testing.assert_allclose(anchors[2], [[128, 128], [96, 192]])
    codes = cluster_codes(anchors)
    np.testing.assert_allclose(codes[1], codes[0])


def test_levels_may_have_their_own(generator):
    rng = np.random.default_rng(0)
    small = np.array([30.0, 40]) * rng.uniform(0.9, 1.1, (40, 2))
    large = np.array([150.0, 90]) * rng.uniform(0.9, 1.1, (40, 2))
    sizes = np.vstack([small, large])
    anchors = cluster_anchors(sizes, generator, 1, per_level=True)
    np.testing.assert_allclose(anchors[0], [[30, 40]], rtol=0.05)
    np.testing.assert_allclose(anchors[2], [[150, 90]], rtol=0.05)
    # No box is of the middle level: it takes what all share.
    shared = cluster_anchors(sizes, generator, 1)
    assert anchors[1] == shared[1]


@pytest.fixture
def yolo():
    """Levels from the coarsest, as YOLOv3 has them."""
    priors = dict(
        type='YOLOAnchorGenerator',
        base_sizes=[[(100, 100)], [(40, 40)], [(20, 20)]],
        strides=[32, 16, 8],
    )
    return TASK_UTILS.build(dict(type='MetaAnchorGenerator', priors=priors))


def test_levels_by_size_as_published_for_yolov3(yolo):
    """Nine clusters: the three smallest belong to stride 8, which is last."""
    sizes = np.array([[10.0 * k, 10.0 * k] for k in range(1, 10)])
    anchors = cluster_anchors(sizes, yolo, beyond_range=True, by_size=True)
    expected = [[(10.0 * k,) * 2 for k in ks] for ks in
                ((7, 8, 9), (4, 5, 6), (1, 2, 3))]  # fmt: skip
    np.testing.assert_allclose(anchors, expected)


def test_levels_by_size_keep_to_what_was_trained(yolo):
    """The trained shape of a level is its standard box."""
    sizes = np.array([[10.0, 10], [40, 40], [200, 50]])
    anchors = cluster_anchors(sizes, yolo, 1, by_size=True)
    expected = [[(100, 100)], [(40, 40)], [(20, 20)]]
    np.testing.assert_allclose(anchors, expected, rtol=1e-6)


def test_levels_of_their_own_keep_to_their_own_range():
    """Level 0 has seen squares alone, in units of a square of 100 px.

    Level 1 has seen heights of 2/3 and 4/3 of its unit, 20 x 30 px (w x h).
    Of both together the box of level 0, 4/3 as high as wide, would be one.
    """
    priors = dict(
        type='YOLOAnchorGenerator',
        base_sizes=[[(100, 100)] * 2, [(20, 20), (20, 40)]],
        strides=[32, 8],
    )
    generator = TASK_UTILS.build(
        dict(type='MetaAnchorGenerator', priors=priors)
    )
    generator.use_box_per_level()
    anchors = cluster_anchors(np.array([[100.0, 400 / 3]]), generator, 1)
    np.testing.assert_allclose(anchors, [[(100, 100)], [(20, 30)]], rtol=1e-6)


@pytest.mark.parametrize('number', [0, 2])
def test_more_clusters_by_size_than_sizes(yolo, number):
    """5 sizes for 3 levels: one each, not two."""
    sizes = np.array([[10.0 * k, 10.0 * k] for k in range(1, 6)])
    with pytest.raises(ValueError, match=f'1 to 1, as .* 5 .*got {number}'):
        cluster_anchors(sizes, yolo, number, by_size=True)


def test_own_boxes_of_levels_and_by_size_are_two_ways(yolo):
    with pytest.raises(ValueError, match='per_level.*by_size.*not both'):
        cluster_anchors(np.ones((9, 2)), yolo, 1, per_level=True, by_size=True)


def cluster_codes(anchors):
    return [
        np.log(np.array(level) / (32 * 2**i))
        for i, level in enumerate(anchors)
    ]


def test_knee_finds_the_number_of_clusters():
    rng = np.random.default_rng(0)
    true = np.array([[10.0, 30], [40, 20], [100, 120]])
    sizes = true.repeat(50, 0) * rng.uniform(0.95, 1.05, (150, 2))
    assert knee(sizes, most=8) == 3


@pytest.mark.parametrize('scale', [1333 / 768, 1333 / 900])
def test_sizes_that_differ_by_rounding_are_one(scale):
    """20 px between corners at other places, resized."""
    corner = np.arange(60.0)[:, None] * [3, 7]
    sizes = (corner + 20) * scale - corner * scale
    assert len(np.unique(sizes, axis=0)) > 2
    assert knee(sizes) == 1
    with pytest.raises(ValueError, match='1 distinct sizes, got 2'):
        dimension_clusters(sizes, 2)
    # Another one is found beside them.
    both = np.vstack([sizes, [[30.0, 90.0]]])
    expected = [[20 * scale] * 2, [30, 90]]
    np.testing.assert_allclose(dimension_clusters(both, 2), expected)


@pytest.fixture
def tried(monkeypatch):
    """How many sizes are clustered each time, where 60 are the most."""
    monkeypatch.setattr(clusters, 'MOST_SIZES', 60)
    tried = []
    monkeypatch.setattr(
        clusters,
        'dimension_clusters',
        lambda sizes, number, seed: (
            tried.append(len(sizes)) or dimension_clusters(sizes, number, seed)
        ),
    )
    return tried


def test_a_part_of_many_sizes_tells_their_number(tried):
    rng = np.random.default_rng(0)
    true = np.array([[10.0, 30], [40, 20], [100, 120]])
    sizes = true.repeat(50, 0) * rng.uniform(0.95, 1.05, (150, 2))
    assert knee(sizes, most=8) == 3
    assert tried == [60] * 8


def test_a_part_of_many_sizes_is_clustered(generator, tried):
    """Of 100 at stride 8 and of 40 at stride 32; those of all come first."""
    rng = np.random.default_rng(0)
    true = np.array([[30.0, 40], [150, 90]]).repeat([100, 40], 0)
    sizes = true * rng.uniform(0.9, 1.1, (140, 2))
    anchors = cluster_anchors(sizes, generator, 1, per_level=True)
    assert tried == [60, 60, 40]
    np.testing.assert_allclose(anchors[0], [[30, 40]], rtol=0.05)
    np.testing.assert_allclose(anchors[2], [[150, 90]], rtol=0.05)


def test_model_takes_them(generator):
    sizes = np.exp(np.random.default_rng(0).uniform(3, 5, (100, 2)))
    anchors = cluster_anchors(sizes, generator, 3)
    again = build_anchors(anchors, generator)
    assert again.num_base_priors == [3, 3, 3]


def test_tool_makes_the_folder(tmp_path, monkeypatch):
    boxes, out = tmp_path / 'boxes.json', tmp_path / 'new' / 'out.json'
    # Not a class of the digits: it has no part in the cluster.
    boxes.write_text(
        '{"images": [{"id": 1, "file_name": "", "width": 256, "height": 192}],'
        '"categories": [{"id": 1, "name": "7"}, {"id": 2, "name": "cow"}],'
        '"annotations": ['
        '{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 30]},'
        '{"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 90, 90]}]}'
    )
    words = ['cluster_anchors.py', CONFIG, boxes, out, '--number', 1]
    monkeypatch.setattr(sys, 'argv', list(map(str, words)))
    runpy.run_path(ROOT / 'tools' / words[0], run_name='__main__')
    np.testing.assert_allclose(read_anchors(out)[0], [[20, 30]])


def test_tool_makes_no_folder_on_bad_input(tmp_path, fail):
    out = tmp_path / 'new' / 'out.json'
    assert 'no.json' in fail('cluster_anchors.py', CONFIG, 'no.json', out)
    assert not out.parent.exists()
