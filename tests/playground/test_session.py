"""What a page shows is what the detector does."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from small_models import build_model

from mmdet_metaanchor import customize_anchors, read_anchors, write_anchors
from mmdet_metaanchor.anchors.drawing import above_threshold
from mmdet_metaanchor.anchors.scorer import Scorer
from mmdet_metaanchor.playground import views
from mmdet_metaanchor.playground.rows import Row
from mmdet_metaanchor.playground.session import Session
from mmdet_metaanchor.playground.sources import GRIDS

ROWS = [Row('all', 20, 30), Row('all', 40, 16)]


@torch.no_grad()
def predicted(model, path):
    """What the head itself predicts, the proposals of a second stage too."""
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    item = pipeline(dict(img_path=str(path), img_id=0))
    data = model.data_preprocessor(pseudo_collate([item]), False)
    head = getattr(model, 'rpn_head', None) or model.bbox_head
    (found,) = head.predict(
        model.extract_feat(data['inputs']), data['data_samples'], rescale=True
    )
    return found.numpy()


def assert_same(seen, found):
    """Every detection of the one is among those of the other.

    Not by their order, which rounding decides among equal scores.
    """
    assert len(seen.scores) == len(found) > 0
    ours, theirs = (
        # 0.01 px, and 1e-4 of a score.
        np.column_stack([corners, 100 * scores, labels])
        for corners, scores, labels in (
            (seen.corners, seen.scores, seen.labels),
            (found.bboxes, found.scores, found.labels),
        )
    )
    gaps = np.abs(ours[:, None] - theirs).max(-1)
    assert max(gaps.min(0).max(), gaps.min(1).max()) < 0.01


@pytest.mark.parametrize(
    'name',
    [
        'meta-retinanet_mobilenet-v2',
        'meta-ssd_mobilenet-v2',
        'meta-yolov3_mobilenet-v2',
        'meta-rpn_mobilenet-v2',
        'meta-faster-rcnn_mobilenet-v2',
    ],
)
def test_every_family_detects_what_its_head_predicts(
    load_config, tiny_data, name
):
    cfg = load_config(f'custom/{name}_custom.py')
    model = build_model(cfg)
    session = Session(model, [tiny_data / 'images' / '0.png'])
    for part in session.head.anchor_functions().values():
        torch.nn.init.zeros_(part.shared.bias)  # sure of something
    session.head.test_cfg.update(score_thr=0.02, conf_thr=-1)
    (path,) = session.images
    owners = session.levels.owners(ROWS)
    assert all(len(level) == len(ROWS) for level in owners)
    seen = session.detect(path, ROWS)
    customize_anchors(session.head, session.levels.anchors(ROWS))
    assert_same(seen, predicted(model, path))
    assert set(seen.anchors) == {0, 1}


def test_the_network_runs_once_per_image(session, monkeypatch):
    runs = []
    extract = session.model.extract_feat

    def count(inputs):
        runs.append(1)
        return extract(inputs)

    monkeypatch.setattr(session.model, 'extract_feat', count)
    first, second = session.images[:2]
    some = session.detect(first, ROWS)
    others = session.detect(first, session.sources.rows_of())
    assert len(runs) == 1
    assert not np.array_equal(some.corners, others.corners)
    session.detect(second, ROWS)
    session.detect(first, ROWS[:1])
    assert len(runs) == 2


def test_the_training_anchors_are_those_of_the_model(session):
    path = session.images[0]
    seen = session.detect(path, session.sources.rows_of())
    assert_same(seen, predicted(session.model, path))


def test_a_detection_is_of_the_anchor_that_makes_it(session):
    """Alone, each anchor makes those of the pair that are its own.

    NMS is left out, since a box may be suppressed by one of the other.
    """
    path = session.images[0]
    session.head.test_cfg.update(
        nms=dict(type='nms', iou_threshold=1.0), nms_pre=-1, max_per_img=10**5
    )
    pair = session.detect(path, ROWS)
    for index, row in enumerate(ROWS):
        alone = session.detect(path, [row])
        mine = pair.anchors == index
        assert mine.sum() == len(alone.scores) > 0
        np.testing.assert_allclose(
            np.sort(pair.scores[mine]), np.sort(alone.scores), atol=1e-5
        )


def test_contributions_sum_to_the_detections(session):
    path = session.images[0]
    found = above_threshold(session.detect(path, ROWS), 0.3)
    number = Counter(found.anchors.tolist())
    assert sum(number.values()) == len(found.scores) > 0
    table = views.look(session, path, ROWS, 0, 0.3).brings
    for index in range(len(ROWS)):
        assert f'</i>{number[index]}</td>' in table


def test_every_box_has_one_best_anchor(session):
    found, best = session.cover(ROWS)
    # tiny_data holds 4 squares.
    assert len(found.iou) == sum(best.values()) == 4


def test_truth_is_that_of_the_image(session, tiny_data):
    drawn = session.truth.of(session.images[1])
    # x = 10 + 8, y = 8, side 24 + 6: see tiny_data.
    assert drawn.corners.tolist() == [[18, 8, 48, 38]]
    assert [session.truth.classes[i] for i in drawn.labels] == ['even']
    assert session.truth.of(tiny_data / 'other.png') is None


def test_score_is_of_all_annotated_images(session, monkeypatch):
    score = session.score(ROWS)
    assert (score.metric, score.images) == ('mAP', 4)
    assert 0 <= score.value <= 1
    assert session.head.prior_generator is session.generator

    def perfect(_self, _sets):
        found = []
        for path, key in session.truth.annotated(50):
            drawn = session.truth.of(path)
            result = InstanceData(
                bboxes=torch.tensor(drawn.corners).float(),
                scores=torch.ones(len(drawn.labels)),
                labels=torch.tensor(drawn.labels),
            )
            result.set_metainfo(dict(img_id=key))
            found.append(result)
        return found

    monkeypatch.setattr(Scorer, 'merge', perfect)
    assert session.score(ROWS).value == pytest.approx(1.0)


def test_proposals_are_scored_whatever_their_class(load_config, tiny_data):
    cfg = load_config('custom/meta-rpn_mobilenet-v2_custom.py')
    images = [tiny_data / 'images' / '0.png']
    session = Session(build_model(cfg), images, tiny_data / 'val.json')
    # One anchor a cell, a tile of 24 px: half a thousand proposals reach
    # some of the squares of 24 to 42 px.
    score = session.score([Row('all', 24, 24)])
    assert (score.metric, score.images) == ('AR@100', 4)
    assert 0 < score.value <= 1


def test_other_classes_are_not_scored(session):
    session.classes = ('cat', 'dog')
    with pytest.raises(ValueError, match='none of the classes .* cat, dog'):
        session.score(ROWS)


def test_classes_go_by_their_names(session):
    """Labels of the detector, whatever the order in the JSON."""
    assert session.truth.categories(['even', 'none', 'odd']) == [2, -1, 1]


def test_a_baked_detector_detects_the_same(session, tmp_path):
    checkpoint, config = session.bake(ROWS, tmp_path / 'stock.pth')
    assert session.head.prior_generator is session.generator
    cfg = Config.fromfile(config)
    stock = MODELS.build(cfg.model)
    stock.load_state_dict(torch.load(checkpoint)['state_dict'])
    stock.cfg = cfg
    path = session.images[0]
    assert_same(session.detect(path, ROWS), predicted(stock.eval(), path))


def test_an_anchors_file_comes_back(session, tmp_path):
    rows = [*ROWS, Row('16', 9.5, 8)]
    anchors = session.levels.anchors(rows)
    write_anchors(tmp_path / 'anchors.json', anchors)
    assert session.sources.rows_of_file(tmp_path / 'anchors.json') == rows
    customize_anchors(session.model, read_anchors(tmp_path / 'anchors.json'))


def test_sources_of_anchors(session, tiny_data):
    for name in GRIDS:
        assert len(session.sources.rows_of_grid(name)) == int(name[0]) ** 2
    clusters = session.sources.rows_of_clusters(2)
    assert len(clusters) == 2
    assert clusters == session.sources.rows_of_clusters(
        2, tiny_data / 'val.json'
    )


def test_shapes_beyond_the_trained_ones_are_marked(session):
    known = session.head.range_of_priors()
    session.head.shape_range.copy_(known)
    # Trained are ratios of 1/2 to 2 and sizes of 2 to 3.2 strides.
    assert session.beyond([Row('all', 20, 20), Row('all', 8, 80)]) == {1}


@pytest.mark.parametrize('number', [0, 51, 2.5])
def test_bad_numbers_of_clusters(session, number):
    with pytest.raises(ValueError, match=f'got {number}'):
        session.sources.rows_of_clusters(number)


def test_files_that_do_not_fit(session, tiny_data, tmp_path):
    image = tmp_path / 'no.png'
    image.write_text('no image')
    with pytest.raises(ValueError, match='not an image'):
        session.see(image)
    with pytest.raises(FileNotFoundError, match='gone.png'):
        session.see(tmp_path / 'gone.png')
    with pytest.raises(ValueError, match='not an image'):
        Session(session.model, [image])
    for name, content, message in (
        ('few', [[[10, 20]]], '5 strides'),
        ('bare', dict(anchors_version=1), 'without "anchors"'),
    ):
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            session.sources.rows_of_file(path)
    other = tmp_path / 'images' / '0.jpg'
    with pytest.raises(ValueError, match='lists none of the images'):
        type(session.truth)(tiny_data / 'val.json', session.cfg, [other])
