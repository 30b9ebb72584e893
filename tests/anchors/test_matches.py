"""What is shown as matched is what a detector trains with."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_metaanchor.anchors.browse import browse_matches
from mmdet_metaanchor.anchors.browse.matches import find_images
from mmdet_metaanchor.anchors.matches import (
    find_assigning_head,
    match,
    view_scene,
)
from mmdet_metaanchor.datasets.coco import read_images

ROOT = Path(__file__).resolve().parents[2]
SQUARE = 'custom/meta-retinanet_r18-w32_custom.py'
ATSS = dict(type='ATSSAssigner', topk=9)
DETECTORS = [
    'custom/retinanet_r18-w32_custom.py',
    SQUARE,
    'custom/ssd_mobilenet-v2_custom.py',
    'custom/meta-yolov3_mobilenet-v2_custom.py',
    'custom/faster-rcnn_mobilenet-v2_custom.py',
    'custom/rpn_mobilenet-v2_custom.py',
]


@pytest.fixture
def built(load_config):
    """A detector and the images that it trains with."""

    def built(name, edit=lambda cfg: None):
        cfg = load_config(name)
        edit(cfg)
        return MODELS.build(cfg.model).eval(), read_images(cfg, 'train')

    return built


def trained_with(model, scene, monkeypatch):
    """What the assigner gives in one training step at rest."""
    calls = []
    head = find_assigning_head(model)
    assign = head.assigner.assign

    def record(*args, **kwargs):
        calls.append(assign(*args, **kwargs))
        return calls[-1]

    monkeypatch.setattr(head.assigner, 'assign', record)
    sample = DetDataSample(metainfo=scene.meta)
    sample.gt_instances = scene.objects.clone()
    sample.ignored_instances = scene.crowds
    height, width = scene.meta['batch_input_shape']
    model.loss(torch.zeros(1, 3, height, width), [sample])
    monkeypatch.undo()
    return calls[0].gt_inds


def tight(cfg):
    """Priors beyond the image do not train."""
    cfg.model.train_cfg.rpn.allowed_border = 0


@pytest.mark.parametrize(
    ('name', 'edit'),
    [
        *[(name, lambda cfg: None) for name in DETECTORS],
        ('custom/rpn_mobilenet-v2_custom.py', tight),
    ],
)
def test_as_in_training(built, monkeypatch, name, edit):
    model, dataset = built(name, edit)
    scene = view_scene(model, dataset, 1)
    head = find_assigning_head(model)
    inside = torch.cat(scene.inside)
    if edit is tight:
        assert 0 < inside.sum() < len(inside)
    shown = torch.cat(match(scene, head.assigner))
    assert torch.equal(shown[inside], trained_with(model, scene, monkeypatch))
    assert (shown[~inside] == -1).all()
    assert (shown == 1).any() and (shown == 0).any()


def test_as_in_training_of_atss(atss_config, tiny_data, monkeypatch):
    """Whose assigner takes the number of priors of each level, too."""
    cfg = atss_config
    cfg.model.bbox_head.anchor_generator.scales_per_octave = 1
    cfg.model.bbox_head.anchor_generator.ratios = [1.0]
    model = MODELS.build(cfg.model).eval()
    source = cfg.train_dataloader.dataset
    source.data_root = str(tiny_data)
    source.metainfo.classes = ('odd', 'even')
    dataset = read_images(cfg, 'train')
    scene = view_scene(model, dataset, 0)
    shown = torch.cat(match(scene, find_assigning_head(model).assigner))
    assert torch.equal(shown, trained_with(model, scene, monkeypatch))


def test_another_assigner_by_its_own_result(built):
    model, dataset = built(SQUARE)
    scene = view_scene(model, dataset, 2)
    shown = match(scene, TASK_UTILS.build(ATSS))
    result = TASK_UTILS.build(ATSS).assign(
        InstanceData(priors=torch.cat(scene.priors)),
        [len(level) for level in scene.priors],
        scene.objects,
    )
    assert torch.equal(torch.cat(shown), result.gt_inds)
    # 9 anchors of each of 5 levels are candidates, at most.
    assert 0 < (result.gt_inds > 0).sum() <= 45


def test_cells_as_in_yolov3(built):
    model, dataset = built('custom/meta-yolov3_mobilenet-v2_custom.py')
    scene = view_scene(model, dataset, 3)
    head = find_assigning_head(model)
    height, width = scene.meta['batch_input_shape']
    sizes = [(height // y, width // x) for x, y in scene.strides]
    expected = head.responsible_flags(sizes, scene.objects.bboxes, 'cpu')
    assert all(map(torch.equal, scene.responsible, expected))
    # One object: the priors of one cell of each level.
    assert [
        int(f.sum()) for f in expected
    ] == head.prior_generator.num_base_priors


def test_picture(built, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        'mmdet_metaanchor.anchors.browse.matches.save',
        lambda figure, path: figures.append(figure),
    )
    model, dataset = built(SQUARE)
    # No IoU reaches 1, and the best is not forced: nothing is positive.
    none = dict(
        type='MaxIoUAssigner',
        pos_iou_thr=1.0,
        neg_iou_thr=0.4,
        match_low_quality=False,
    )
    (path,) = browse_matches(model, dataset, ['3.png'], tmp_path, [none])
    assert path == tmp_path / 'matches_3.png'
    scene = view_scene(model, dataset, 3)
    (figure,) = figures
    rules = [find_assigning_head(model).assigner, TASK_UTILS.build(none)]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        f'stride {stride[0]}: {(inds > 0).sum()} positive,\n'
        f'{(inds < 0).sum()} ignored, {(inds == 0).sum()} negative'
        for rule in rules
        for stride, inds in zip(scene.strides, match(scene, rule), strict=True)
    ]
    first, other = figure.axes[0], figure.axes[5]
    assert '1 of 1 objects matched' in first.get_ylabel()
    assert other.get_ylabel().startswith('MaxIoUAssigner pos_iou_thr=1.0')
    assert '0 of 1 objects matched' in other.get_ylabel()
    # The object, 42 px at (34, 8) of the file, and nothing else.
    (drawn,) = other.patches
    assert drawn.get_bbox().extents == pytest.approx([34, 8, 76, 50])


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['none.png'], 'has no image none.png; its first is 0.png'),
        (['--assigner', 'SimOTAAssigner'], 'SimOTAAssigner looks at more'),
        (['--assigner', '9'], 'an assigner must be a type such as'),
        (['--assigner', 'MaxIouAssigner'], 'no assigner named MaxIouAssigner'),
        (['--assigner', 'MaxIoUAssigner'], 'pos_iou_thr'),
    ],
)
def test_bad_input(load_config, tmp_path, fail, words, message):
    out = ['--out-dir', tmp_path / 'out']
    load_config(SQUARE)  # which names the data
    path = ROOT / 'configs' / SQUARE
    assert message in fail('browse_matches.py', path, *out, *words)
    assert not (tmp_path / 'out').exists()


def test_images_by_as_much_of_their_path_as_it_takes():
    names = ['a/1.png', 'b/1.png', 'b/1.jpg', 'b/2.png']

    class Images(list):
        ann_file = 'train.json'

        def get_data_info(self, index):
            return dict(img_path=f'root/{self[index]}')

    dataset = Images(names)
    assert find_images(dataset, ['b/1.png', '2.png']) == [1, 3]
    assert find_images(dataset, ['elsewhere/2.png']) == [3]
    for wanted, message in (
        (['1.png'], 'train.json has 2 images 1.png; give more of the path'),
        (['c/1.png'], 'has 2 images c/1.png; give more'),
        (['3.png'], 'has no image 3.png; its first is 1.png'),
        (['a/1.png', 'b/1.jpg'], '2 images are named 1 and would share'),
    ):
        with pytest.raises(ValueError, match=message):
            find_images(dataset, wanted)


def test_a_detector_without_an_assigner(load_config, tmp_path, fail):
    load_config(SQUARE)
    path = ROOT / 'benchmarks/configs/fcos_mobilenet-v2_custom.py'
    message = fail('browse_matches.py', path, '--out-dir', tmp_path / 'out')
    assert 'FCOS has no anchors, and no assigner' in message


def test_tool(load_config, tmp_path, monkeypatch, capsys):
    load_config(SQUARE)
    words = [ROOT / 'configs' / SQUARE, '1.png', '--out-dir', tmp_path]
    monkeypatch.setattr(sys, 'argv', ['tool', *map(str, words)])
    runpy.run_path(
        str(ROOT / 'tools' / 'browse_matches.py'), run_name='__main__'
    )
    path = tmp_path / 'matches_1.png'
    assert capsys.readouterr().out.endswith(f'{path}\n')
    assert path.read_bytes().startswith(b'\x89PNG')
