"""customize_anchors and the reading of anchors."""

import json
import math

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.anchors.anchors_file import (
    parse_anchors,
    read_anchors,
    write_anchors,
)
from mmdet_metaanchor.anchors.customize import find_head, read_generator

STRIDES = [8, 16, 32]
SQUARES = [[(32, 32)], [(64, 64)], [(128, 128)]]
ONE_SQUARE = dict(strides=STRIDES, scales=[4], ratios=[1.0])
CENTERED = dict(center_offset=0.5)  # in the middle of the cell


def test_every_form_of_equal_anchors_predicts_the_same(build_head, feats):
    head = build_head().eval()
    forms = [
        SQUARES,
        dict(scales=[4], ratios=[1.0]),
        dict(type='AnchorGenerator', scales=[4], ratios=[1.0]),
        dict(type='MetaAnchorGenerator', strides=STRIDES, shapes=SQUARES),
        dict(
            type='MetaAnchorGenerator',
            priors=dict(
                type='AnchorGenerator',
                strides=STRIDES,
                scales=[4],
                ratios=[1.0],
            ),
        ),
    ]
    outs = []
    for form in forms:
        customize_anchors(head, form)
        with torch.no_grad():
            outs.append(head(feats))
    assert outs[0][0][0].shape[1] == 3  # one prior of 3 classes
    for scores, deltas in outs[1:]:
        for level in range(3):
            assert torch.equal(scores[level], outs[0][0][level])
            assert torch.equal(deltas[level], outs[0][1][level])


@pytest.mark.parametrize(
    'name',
    [
        'digits/meta-retinanet_r18-w32_digits.py',
        'meta_ssd/meta-ssd_r18-w32_digits.py',
        'meta_yolov3/meta-yolov3_r18-w32_digits.py',
        'meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
    ],
)
def test_anchors_of_a_config_are_those_of_its_head(load_config, name):
    """In the same units, with a standard box for each level where it has."""
    cfg = load_config(name)
    head = find_head(MODELS.build(cfg.model)).prior_generator
    read = read_generator(cfg)
    assert torch.equal(read.standard_boxes, head.standard_boxes)
    for one, other in zip(read.codes(), head.codes(), strict=True):
        assert torch.equal(one, other)


def test_evaluation_uses_them_from_then_on(build_head, feats, data_samples):
    head = build_head().eval()
    with torch.no_grad():
        before = head.predict(feats, data_samples)
        customize_anchors(head, [[(9, 7)], [(5, 30)], [(60, 60)]])
        after = head.predict(feats, data_samples)
    assert head.num_base_priors == 1
    assert not torch.equal(before[0].bboxes, after[0].bboxes)


def test_keeps_standard_box_jitter_and_the_given_anchors(build_head):
    head = build_head()
    trained = head.prior_generator
    trained.standard_box, trained.jitter, trained.anneal = (33, 44), 0.2, 0.5
    anchors = dict(scales=[4], ratios=[1.0], standard_box=(1, 1))
    customize_anchors(head, anchors)
    assert head.prior_generator.standard_box == (33, 44)
    assert head.prior_generator.jitter == 0.2
    assert head.prior_generator.anneal == 0.5
    assert anchors == dict(scales=[4], ratios=[1.0], standard_box=(1, 1))


@pytest.mark.parametrize(
    'placing', [dict(centers=[(4, 4), (8, 8), (16, 16)]), CENTERED]
)
@pytest.mark.parametrize(
    'anchors',
    [
        [[(16, 16)], [(8, 8)], [(9, 9)]],
        dict(scales=[2], ratios=[1.0]),
        dict(scales=[1], ratios=[1.0], base_sizes=[16, 20, 24]),
        dict(type='AnchorGenerator', scales=[2], ratios=[1.0]),
        dict(type='MetaAnchorGenerator', strides=STRIDES, shapes=SQUARES),
    ],
)
def test_the_trained_centers_are_kept(build_head, placing, anchors):
    head = build_head(
        anchor_generator=dict(
            type='MetaAnchorGenerator', **{**ONE_SQUARE, **placing}
        )
    )
    customize_anchors(head, anchors)
    # the middles of cells of 8, 16 and 32 px
    for center, middle in zip(
        head.prior_generator.base_centers, [4, 8, 16], strict=True
    ):
        assert center.tolist() == [[middle, middle]]


@pytest.mark.parametrize(
    'placing',
    [
        dict(center_offset=0.0),
        dict(centers=[(0, 0)] * 3),
        dict(priors=dict(type='AnchorGenerator', **ONE_SQUARE)),
    ],
)
def test_centers_move_where_the_config_places_them(build_head, placing):
    head = build_head(
        anchor_generator=dict(
            type='MetaAnchorGenerator', **ONE_SQUARE, **CENTERED
        )
    )
    customize_anchors(head, {**ONE_SQUARE, **placing})
    assert head.prior_generator.base_centers[2].tolist() == [[0, 0]]


def test_moved_centers_are_told(build_head, caplog, monkeypatch):
    told = []
    monkeypatch.setattr(
        'mmdet_metaanchor.anchors.customize.print_log',
        lambda message, **kwargs: told.append(message),
    )
    head = build_head()
    customize_anchors(head, dict(scales=[4], ratios=[1.0]))
    assert not told
    customize_anchors(head, dict(scales=[4], ratios=[1.0], center_offset=0.5))
    assert '(4.0, 4.0)' in told[0]


def test_reaches_the_head_inside_a_detector(build_head):
    head = build_head()
    detector = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ModuleDict({'head': head}))
    customize_anchors(detector, SQUARES)
    assert head.prior_generator.num_base_priors == [1, 1, 1]


def test_each_of_two_heads_or_both(build_head):
    first, second = build_head(), build_head()
    before = second.prior_generator
    detector = nn.ModuleDict({'rpn_head': first, 'bbox_head': second})
    customize_anchors(detector['rpn_head'], SQUARES)
    assert first.prior_generator.num_base_priors == [1, 1, 1]
    assert second.prior_generator is before
    customize_anchors(detector, dict(scales=[2], ratios=[1.0]))
    for head in (first, second):  # 2 * 32 px
        assert head.prior_generator.base_shapes[2].tolist() == [[64, 64]]


@pytest.mark.parametrize(
    ('anchors', 'value'),
    [
        ([[(0, 32)], [(64, 64)], [(128, 128)]], '0'),
        ([[(32, -1)], [(64, 64)], [(128, 128)]], '-1'),
        ([[(32, math.nan)], [(64, 64)], [(128, 128)]], 'nan'),
        ([[(math.inf, 1)], [(64, 64)], [(128, 128)]], 'inf'),
        ([[(32, 32)], [], [(128, 128)]], 'level 1'),
        ([[(32, 32)], [(64, 64)]], 'got 2'),
        ([], 'got 0'),
        (dict(strides=[8, 16], scales=[1], ratios=[1]), '2 of strides'),
        (dict(strides=[4, 8, 16], scales=[1], ratios=[1]), r'\(4, 4\)'),
        (dict(scales=[1], ratios=[-1]), '-1'),
    ],
)
def test_bad_anchors_are_refused_and_change_nothing(
    build_head, anchors, value
):
    head = build_head()
    before = head.prior_generator
    with pytest.raises(ValueError, match=value):
        customize_anchors(head, anchors)
    assert head.prior_generator is before


@pytest.mark.parametrize('anchors', [3, 'scales', None])
def test_anchors_of_another_type(build_head, anchors):
    with pytest.raises(TypeError, match=repr(anchors)):
        customize_anchors(build_head(), anchors)


def test_stock_models_are_refused():
    stock = MODELS.build(dict(type='RetinaHead', num_classes=2, in_channels=4))
    with pytest.raises(TypeError, match='RetinaHead has no MetaAnchor head'):
        customize_anchors(stock, SQUARES)


def test_parse_literals():
    assert parse_anchors('[[(1, 2.5)], [[3, 4]]]') == [[(1, 2.5)], [[3, 4]]]
    assert parse_anchors("{'scales': [4]}") == {'scales': [4]}


def test_parse_a_file(tmp_path):
    file = tmp_path / 'anchors.json'
    file.write_text(json.dumps(SQUARES))
    assert parse_anchors(str(file)) == [[[32, 32]], [[64, 64]], [[128, 128]]]


def test_parse_errors(tmp_path):
    with pytest.raises(ValueError, match='3x3'):
        parse_anchors('3x3')
    with pytest.raises(FileNotFoundError, match='no.json'):
        parse_anchors(str(tmp_path / 'no.json'))
    broken = tmp_path / 'broken.json'
    broken.write_text('[[')
    with pytest.raises(ValueError, match='broken.json'):
        parse_anchors(str(broken))


@pytest.mark.parametrize('anchors', [SQUARES, dict(scales=[4], ratios=[1.0])])
def test_files_hold_what_was_written(tmp_path, anchors):
    path = tmp_path / 'anchors.json'
    write_anchors(path, anchors, found_by='hand')
    again = read_anchors(path)
    assert again == json.loads(json.dumps(anchors))
    assert parse_anchors(str(path)) == again
    assert json.loads(path.read_text())['found_by'] == 'hand'


def test_a_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / 'anchors.json'
    path.write_text(json.dumps(dict(anchors_version=7, anchors=[])))
    with pytest.raises(ValueError, match='version 7'):
        read_anchors(path)
