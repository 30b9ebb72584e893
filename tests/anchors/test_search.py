"""The search merges what the network would detect with all anchors."""

import json
import math
import random

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader, Dataset

from mmdet_metaanchor import customize_anchors, read_anchors
from mmdet_metaanchor.anchors import scorer
from mmdet_metaanchor.anchors import search as search_module
from mmdet_metaanchor.anchors.candidates import paper_candidates
from mmdet_metaanchor.anchors.customize import find_head
from mmdet_metaanchor.anchors.detections import collect_detections, unite
from mmdet_metaanchor.anchors.scorer import Scorer
from mmdet_metaanchor.anchors.search import Log, Step, greedy_search

STRIDES = (8, 16, 32, 64, 128)
YOLO = 'meta_yolov3/meta-yolov3'
SETS = [
    [[(2.5 * s, 4 * s), (3 * s, 3 * s)] for s in STRIDES],
    [[(6 * s, 3 * s)] for s in STRIDES],
]


@pytest.fixture
def build(load_config):
    def build(**anchor_function):
        cfg = load_config('custom/meta-retinanet_r18-w32_custom.py')
        cfg.model.backbone.init_cfg = None
        cfg.model.bbox_head.anchor_function = anchor_function
        cfg.model.test_cfg.score_thr = 0.0
        cfg.model.test_cfg.nms_pre = 100_000
        model = MODELS.build(cfg.model)
        for part in (model.bbox_head.retina_cls, model.bbox_head.retina_reg):
            torch.nn.init.normal_(part.residual_layer.weight, std=0.05)
        return model.eval()

    return build


@pytest.fixture
def model(build):
    return build()


def images():
    draw = torch.Generator().manual_seed(1)
    samples = []
    for index in range(3):
        sample = DetDataSample(
            metainfo=dict(
                img_id=index,
                img_shape=(64, 96),
                ori_shape=(128, 192),
                scale_factor=(0.5, 0.5),
            )
        )
        image = torch.randint(256, (3, 64, 96), generator=draw)
        samples.append(dict(inputs=image.byte(), data_samples=sample))
    return samples


def loader():
    return DataLoader(images(), batch_size=2, collate_fn=pseudo_collate)


def assert_as_tested(merged, model):
    """What was merged is what a test of the model detects."""
    for image, actual in zip(images(), merged, strict=True):
        batch = dict(
            inputs=[image['inputs']], data_samples=[image['data_samples']]
        )
        (sample,) = model.test_step(batch)
        expected = sample.pred_instances
        assert len(actual) == len(expected) > 0
        torch.testing.assert_close(actual.scores, expected.scores)
        assert torch.equal(actual.labels, expected.labels)
        torch.testing.assert_close(
            actual.bboxes, expected.bboxes, rtol=1e-5, atol=1e-3
        )


@pytest.mark.parametrize('nms_pre', [-1, 7, 100_000])
@pytest.mark.parametrize('data_dependent', [False, True])
def test_merged_equals_a_test_with_all_anchors(build, data_dependent, nms_pre):
    model = build(data_dependent=data_dependent)
    model.bbox_head.test_cfg.nms_pre = nms_pre
    before = model.bbox_head.prior_generator
    found = collect_detections(model, loader(), SETS, 100_000)
    assert model.bbox_head.prior_generator is before
    merged = Scorer(model.bbox_head, None, []).merge(found)
    customize_anchors(model, unite(SETS))
    assert_as_tested(merged, model)


@pytest.mark.parametrize('nms_pre', [-1, 20, 100_000])
@pytest.mark.parametrize(
    'name', ['meta_faster_rcnn/meta-rpn', 'meta_ssd/meta-ssd', YOLO, 'atss']
)
def test_merged_equals_a_test_of_other_heads(
    load_config, atss_config, name, nms_pre
):
    cfg = atss_config
    if name != 'atss':
        cfg = load_config(f'{name}_r18-w32_digits.py')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.eval()
    head = find_head(model)
    head.test_cfg.update(nms_pre=nms_pre, score_thr=0.02)
    for part in head.anchor_functions().values():
        torch.nn.init.normal_(part.residual_layer.weight, std=0.3)
        if name == YOLO:  # which begins with objects nowhere
            torch.nn.init.zeros_(part.shared.bias)
    head.test_cfg.conf_thr = 0.5  # of YOLO alone
    strides = head.prior_generator.strides
    first = [[(3.0 * w, 2.0 * h)] for w, h in strides]
    second = [[(1.0 * w, 5.0 * h)] for w, h in strides]
    found = collect_detections(model, loader(), [first, second], 100_000)
    scorer = Scorer(head, None, [])
    merged = scorer.merge(found)
    # A search adds to what is left: these overlap by no more.
    again = scorer.merge([merged])
    both = scorer.merge([merged, found[1]])
    customize_anchors(model, unite([first, second]))
    assert_as_tested(merged, model)
    assert_as_tested(again, model)
    if nms_pre != 20:  # of which those that are there twice take two places
        assert_as_tested(both, model)


def test_proposals_are_scored_by_their_recall():
    """Two of four objects are found, one at an IoU of 0.7."""
    truth = [[0, 0, 20, 20], [40, 0, 20, 20], [0, 40, 20, 20], [40, 40, 9, 9]]
    coco = scorer.COCO()
    coco.dataset = dict(
        images=[dict(id=0, width=64, height=64)],
        categories=[dict(id=1, name='a'), dict(id=2, name='b')],
        annotations=[
            dict(
                id=i + 1,
                image_id=0,
                category_id=1 + i % 2,
                bbox=box,
                area=box[2] * box[3],
                iscrowd=0,
            )
            for i, box in enumerate(truth)
        ],
    )
    coco.createIndex()
    found = InstanceData(
        # The second is 14 px of 20 wide: IoU 0.7, of which float32 makes a
        # little more or less, so 14.2.
        bboxes=torch.tensor([[0.0, 0, 20, 20], [40, 0, 54.2, 20]]),
        scores=torch.tensor([0.9, 0.8]),
        labels=torch.zeros(2, dtype=torch.long),
    )
    found.set_metainfo(dict(img_id=0))
    head = object.__new__(RPNHead)
    one = Scorer(head, coco, [1, 2])
    assert one.metric == 'AR@100'
    # 2 of 4 at the 5 IoUs up to 0.7, 1 of 4 at the 5 above it.
    assert one.score([found]) == pytest.approx((5 * 2 / 4 + 5 * 1 / 4) / 10)


def test_boxes_that_no_detector_can_learn_are_no_truth(tiny_data, tmp_path):
    """A NaN box would be one that is never found."""
    content = json.loads((tiny_data / 'train.json').read_text())
    (tmp_path / 'clean.json').write_text(json.dumps(content))
    bad = dict(content['annotations'][0], id=9, bbox=[math.nan, 1, 9, 9])
    content['annotations'].append(bad)
    (tmp_path / 'dirty.json').write_text(json.dumps(content))
    clean, dirty = (
        scorer.read_truth(str(tmp_path / f'{name}.json'))
        for name in ('clean', 'dirty')
    )
    assert dirty.anns == clean.anns
    assert len(clean.anns) == 4


def test_images_without_a_box_to_find(tiny_data, tmp_path):
    """Their mAP would be NaN, which is above nothing."""
    content = json.loads((tiny_data / 'train.json').read_text())
    first, second = (image['id'] for image in content['images'][:2])
    for annotation in content['annotations']:
        if annotation['image_id'] == second:
            annotation['iscrowd'] = 1
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    truth = scorer.read_truth(str(tmp_path / 'truth.json'))
    ids = [category['id'] for category in content['categories']]
    one = Scorer(None, truth, ids)
    one.check([first, second])
    one.check([])  # none is held back
    with pytest.raises(ValueError, match='none of the 1 images .* holds'):
        one.check([second])
    del content['annotations']
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='no list of annotations'):
        scorer.read_truth(str(tmp_path / 'truth.json'))


def test_memory_is_bounded(model):
    """SETS[0] has two anchors per level, SETS[1] one."""
    found = collect_detections(model, loader(), SETS, 5)
    for images, number in zip(found, (10, 5), strict=True):
        assert [len(image) for image in images] == [number] * 3
    more, _ = collect_detections(model, loader(), SETS, 10)
    assert torch.equal(more[0].scores[:10], found[0][0].scores)


def test_an_anchor_that_is_there_already_brings_nothing(model):
    """Not even as many detections as another set may keep."""
    copy = [level[:1] for level in SETS[0]]
    (every,) = collect_detections(model, loader(), [copy], 100_000)
    sets = collect_detections(model, loader(), [SETS[0], copy], len(every[0]))
    scorer = Scorer(model.bbox_head, None, [])
    alone, both = scorer.merge(sets[:1]), scorer.merge(sets)
    for image, other in zip(alone, both, strict=True):
        torch.testing.assert_close(
            image.bboxes, other.bboxes, rtol=1e-5, atol=1e-3
        )
        torch.testing.assert_close(image.scores, other.scores)


def test_candidates_of_the_paper(model):
    sets = paper_candidates(model.bbox_head.prior_generator)
    assert len(sets) == 7 * 23
    # 16 px is the smallest size at stride 8: 16 * 2^(-1/5) to 16 * 2
    areas = [w * h for ((w, h), *_), *_ in sets]
    assert min(areas) ** 0.5 == pytest.approx(16 * 2**-0.2)
    assert max(areas) ** 0.5 == pytest.approx(32)
    ratios = sorted(h / w for ((w, h), *_), *_ in sets[:23])
    assert ratios[0] == pytest.approx(1 / 3)
    assert ratios[11] == pytest.approx(1)
    assert ratios[-2:] == pytest.approx([2, 3])


class Merged(float):
    """What is left of sets after suppression."""


class Sum:
    """Stands for a scorer: a set is worth the number that it is."""

    def merge(self, sets):
        return Merged(sum(sets))

    def score(self, detections):
        return float(detections)


class Rash(Sum):
    """Takes every addition to what is left for a gain."""

    def merge(self, sets):
        rash = isinstance(sets[0], Merged)
        return Merged(sum(sets) + 100 * rash)


def search(worth, **kwargs):
    kwargs = {'steps': 99, 'patience': 99, 'seed': 0, **kwargs}
    return list(greedy_search(Sum(), 1.0, worth, **kwargs))


def test_what_helps_is_kept():
    worth = [0.5, -1.0, 0.0, 2.0]
    steps = search(worth)
    assert sorted(step.candidate for step in steps) == [0, 1, 2, 3]
    assert {step.candidate for step in steps if step.kept} == {0, 3}
    kept = [step.score for step in steps if step.kept]
    assert kept == sorted(kept)
    assert kept[-1] == 3.5


def test_nothing_is_kept_that_does_not_raise_the_score_of_all():
    worth = [0.5, -1.0, 0.0, 2.0]
    steps = list(greedy_search(Rash(), 1.0, worth, 99, 99, 0))
    assert {step.candidate for step in steps if step.kept} == {0, 3}
    assert [s.score for s in steps if s.kept][-1] == 3.5


def test_ends_after_failures_or_steps():
    assert len(search([-1.0] * 9, patience=4)) == 4
    assert len(search([1.0] * 9, steps=4)) == 4


@pytest.mark.parametrize('done', [0, 3, 6])
def test_goes_on_where_it_was_interrupted(done):
    draw = random.Random(1)
    worth = [draw.uniform(-1, 1) for _ in range(12)]
    whole = search(worth, patience=5)
    rest = search(worth, patience=5, done=whole[:done])
    assert [s[0] for s in whole[:done] + rest] == [s[0] for s in whole]
    assert [s.kept for s in whole[:done] + rest] == [s.kept for s in whole]


class TestTrainingAnchors:
    """A search never ends below them; here a set is worth its widest."""

    @pytest.fixture
    def searched(self):
        """Images that detections are asked of, one list per time."""
        return []

    @pytest.fixture
    def find(self, build_head, tmp_path, monkeypatch, searched):
        class Four(Dataset):
            ann_file, cat_ids = '', []

            def __len__(self):
                return 4

            def get_data_info(self, index):
                return dict(img_id=index)

        def worth(found):
            if isinstance(found, Merged):
                return found
            return found[0].max(initial=0)  # of the only image

        class Width(Sum):
            metric = 'mAP'

            def __init__(self, head, coco, categories):
                pass

            def check(self, images):
                pass

            def merge(self, sets):
                return Merged(max(map(worth, sets)))

        def collect(model, loader, sets, most):
            searched.append(loader.dataset.indices)
            widest = [max(w for w, _ in one[0]) for one in sets]
            return [[np.array([w])] for w in widest]

        monkeypatch.setattr(search_module, 'Scorer', Width)
        monkeypatch.setattr(search_module, 'collect_detections', collect)
        monkeypatch.setattr(search_module, 'read_truth', lambda path: None)

        def find(start, trained, candidates, held=0, **kwargs):
            head = build_head()
            sets = [
                [[(side, side)] for _ in head.prior_generator.strides]
                for side in (start, trained, *candidates)
            ]
            customize_anchors(head, sets[0])
            found = search_module.search_anchors(
                head,
                Four(),
                tmp_path,
                sets[2:],
                images=4 - held,
                held_images=held,
                trained=sets[1],
                **kwargs,
            )
            sides = sorted(w for w, _ in found.anchors[0])
            assert read_anchors(tmp_path / 'anchors.json') == [
                [list(size) for size in level] for level in found.anchors
            ]
            return sides, found.scores, found.held

        return find

    def test_it_begins_with_the_better_ones(self, find):
        # 30 is kept with 20, the training anchors, and not with 10
        assert find(10.0, 20.0, [30.0, 15.0]) == ([20, 30], (20, 30), None)

    def test_it_keeps_a_better_start(self, find):
        assert find(25.0, 20.0, [30.0]) == ([25, 30], (25, 30), None)

    def test_a_place_that_cannot_be_written_is_refused_at_once(
        self, find, searched, tmp_path
    ):
        tmp_path.rmdir()
        tmp_path.write_text('a file')
        with pytest.raises(FileExistsError):
            find(10.0, 20.0, [30.0])
        assert not searched

    def test_begun_from_nothing_it_ends_with_them(self, find):
        found = find(10.0, 20.0, [5.0, 15.0], from_nothing=True)
        assert found == ([20], (0, 20), None)

    def test_begun_from_nothing_it_ends_with_better_ones(self, find):
        found = find(10.0, 20.0, [30.0], from_nothing=True)
        assert found == ([30], (0, 30), None)

    def test_held_images_are_none_of_those_searched_on(self, find, searched):
        found = find(10.0, 20.0, [30.0, 15.0], held=2)
        assert sorted(sum(searched, [])) == [0, 1, 2, 3]
        assert [len(images) for images in searched] == [2, 2]
        # Of what it began with, and of what it has found.
        assert found == ([20, 30], (20, 30), (20, 30))

    def test_begun_from_nothing_held_images_have_no_score_before(self, find):
        found = find(10.0, 20.0, [30.0], held=2, from_nothing=True)
        assert found == ([30], (0, 30), (0, 30))


def test_log_keeps_every_step(tmp_path):
    path = tmp_path / 'search.json'
    log = Log(path, dict(seed=0))
    log.add(Step(3, 0.5, True))
    log.add(Step(1, 0.4, False))
    assert Log(path, dict(seed=0)).steps == [
        Step(3, 0.5, True),
        Step(1, 0.4, False),
    ]
    with pytest.raises(ValueError, match='search.json.*other settings'):
        Log(path, dict(seed=1))


@pytest.mark.parametrize('fast', [False, True])
def test_score_is_that_of_coco(tiny_data, monkeypatch, fast):
    """One class is found with an IoU of 0.68, the other one is not.

    A box of the same place and height, and 0.68 of the width, passes the
    thresholds 0.5, 0.55, 0.6 and 0.65: an AP of 4 / 10 for its class.
    """
    if fast:
        library = pytest.importorskip(
            'faster_coco_eval', reason='an extra of its own'
        )
        coco, evaluation = library.COCO, library.COCOeval_faster
    else:
        from pycocotools.coco import COCO as coco
        from pycocotools.cocoeval import COCOeval as evaluation
    monkeypatch.setattr(scorer, 'COCOeval', evaluation)
    truth = coco(str(tiny_data / 'val.json'))
    found = []
    for index in truth.getImgIds():
        x, y, w, h = truth.imgToAnns[index][0]['bbox']
        odd = truth.imgToAnns[index][0]['category_id'] == 1
        found.append(
            InstanceData(
                bboxes=torch.tensor([[x, y, x + 0.68 * w, y + h]])[: int(odd)],
                scores=torch.ones(int(odd)),
                labels=torch.zeros(int(odd), dtype=torch.long),
                metainfo=dict(img_id=index),
            )
        )
    score = Scorer(None, truth, [1, 2]).score(found)
    assert score == pytest.approx((0.4 + 0) / 2)


def test_nothing_detected_scores_zero():
    empty = InstanceData(
        bboxes=torch.empty(0, 4),
        scores=torch.empty(0),
        labels=torch.empty(0, dtype=torch.long),
        level_ids=torch.empty(0, dtype=torch.long),
        metainfo=dict(img_id=0),
    )

    class Head:
        test_cfg = {}

        def _bbox_post_process(self, results, *args, **kwargs):
            return results

    zero = Scorer(Head(), None, [1])
    assert zero.score(zero.merge([[empty]])) == 0


@pytest.mark.parametrize(
    'words',
    [
        '--images 0',
        '--images -3',
        '--held-images -1',
        '--steps 0',
        '--patience 0',
        '--most -1',
    ],
)
def test_tool_refuses_numbers(fail, words):
    message = fail(
        'search_anchors.py', 'no.py', 'no.pth', 'out', *words.split()
    )
    name, number = words.split()
    assert f'{name} must be at least' in message
    assert message.endswith(f'got {number}')
