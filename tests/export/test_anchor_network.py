"""One ONNX file gives for any anchors what the customised detector gives."""

import copy
import json
import re
import runpy
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from small_detectors import (
    RETINA,
    RPN,
    SSD,
    YOLO,
    assert_all_decoded,
    build,
    data_of,
    read_config,
)

from mmdet_metaanchor import customize_anchors, export_onnx
from mmdet_metaanchor.anchors.customize import find_head, list_shapes
from mmdet_metaanchor.export import onnx_export
from mmdet_metaanchor.export.anchor_network import AnchorNetwork
from mmdet_metaanchor.export.onnx_export import (
    batch_of,
    largest_differences,
    open_onnx,
)

for package in ('onnx', 'onnxruntime'):
    pytest.importorskip(package, reason=f'the export needs {package}')

ROOT = Path(__file__).resolve().parents[2]
IMAGE = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)


@pytest.fixture(scope='module')
def exported(tiny_data, tmp_path_factory):
    """Make a detector and its file, once: a function of a head."""
    folder = tmp_path_factory.mktemp('onnx')

    @cache
    def exported(name):
        model = build(read_config(name, tiny_data))
        path = folder / f'{Path(name).name}.onnx'
        told = export_onnx(model, path, anchors_as_input=True)
        return Exported(model, path, told, open_onnx(path))

    return exported


class Exported(NamedTuple):
    model: torch.nn.Module
    path: Path
    told: dict
    session: object

    @property
    def trained(self):
        """Sizes (w, h) in px of its anchors, one list per level."""
        return list_shapes(find_head(self.model).prior_generator)

    def run(self, anchors):
        """Boxes and scores of IMAGE."""
        inputs = {f'anchors_{i}': np.float32(a) for i, a in enumerate(anchors)}
        return self.session.run(None, dict(inputs, images=batch_of(IMAGE)))


@pytest.mark.parametrize('name', [RETINA, SSD, YOLO, RPN])
def test_gives_what_the_customised_detector_finds(exported, name):
    file = exported(name)
    assert list(file.told) == ['boxes', 'scores']
    assert max(file.told.values()) < 1e-4
    # Some of those that were trained, and one twice as wide: beyond them.
    anchors = [
        [*level[: 1 + i % 2], *((2 * w, h) for w, h in level[:1])]
        for i, level in enumerate(file.trained)
    ]
    changed = copy.deepcopy(file.model)
    customize_anchors(changed, anchors)
    found = changed.test_step(data_of(IMAGE))[0].pred_instances.numpy()
    assert_all_decoded(found, *file.run(anchors))


def test_a_set_is_what_its_members_are_alone(exported):
    file = exported(RETINA)
    members = [level[:2] for level in file.trained]
    both = file.run(members)
    alone = [file.run([[m[i]] for m in members]) for i in range(2)]
    # Every cell has a row of the first and then one of the second.
    for together, *single in zip(both, *alone, strict=True):
        np.testing.assert_allclose(
            together, np.stack(single, 2).reshape(together.shape), atol=1e-4
        )


@pytest.mark.parametrize(
    'size', [(0, 0), (0, 9), (9, -9), (np.nan, 9), (np.inf, 9)]
)
@pytest.mark.parametrize('name', [RETINA, SSD])
def test_what_is_no_size_detects_nothing(exported, name, size):
    """And changes no other row, to the last bit."""
    file = exported(name)
    good, spoilt = (
        file.run([[level[0], other] for level in file.trained])
        for other in ((5, 5), size)
    )
    for ours, theirs in zip(spoilt, good, strict=True):
        np.testing.assert_array_equal(ours[:, ::2], theirs[:, ::2])
    boxes, scores = spoilt
    assert not scores[:, 1::2].any()
    assert not np.isnan(boxes).any()


def test_a_level_may_have_no_anchors(exported):
    file = exported(RETINA)
    first, *others = file.trained
    # Of 96x128 px at stride 8: 12x16 cells.
    rows = 12 * 16 * len(first)
    whole, rest = (
        file.run([level, *others]) for level in (first, np.zeros((0, 2)))
    )
    for ours, theirs in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs[:, rows:])


def test_numbers_that_are_compared(exported):
    """1, 25, those of the model, and another on every level."""
    network = AnchorNetwork(exported(RETINA).model)
    images = np.zeros((1, 3, 64, 64), np.float32)
    numbers = [
        [len(sizes) for sizes in example[1:]]
        for example in network.examples([images, images])
    ]
    assert [1] * 5 in numbers
    assert [25] * 5 in numbers
    assert [9] * 5 in numbers  # scales_per_octave=3, 3 ratios
    assert any(len(set(levels)) > 2 for levels in numbers)


@pytest.mark.parametrize('part', ['code_layer', 'basis_layer'])
def test_another_generator_is_seen(exported, part):
    """The comparison is with the model, not with what was traced."""
    file = exported(RETINA)
    other = copy.deepcopy(file.model)
    getattr(find_head(other).retina_reg, part).weight.data *= 1.5
    network = AnchorNetwork(other)
    images = batch_of(IMAGE)
    told = largest_differences(
        network, file.path, network.examples([images, images])
    )
    assert told['scores'] < 1e-4 < told['boxes']


def test_every_form_of_the_generator(tiny_data, tmp_path):
    """A full W2, weights of every image: none of them is refused."""
    cfg = read_config(YOLO, tiny_data)
    cfg.model.bbox_head.anchor_function = dict(
        rank=None, data_dependent=True, form='weights', hidden_channels=8
    )
    told = export_onnx(build(cfg), tmp_path / 'a.onnx', anchors_as_input=True)
    assert max(told.values()) < 1e-4


def test_refuses_what_has_no_free_anchors(load_config):
    for name, message in (
        ('digits/retinanet_r18-w32_digits.py', 'RetinaHead are fixed'),
        (
            'meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
            'single-stage .* got FasterRCNN',
        ),
    ):
        cfg = load_config(name)
        cfg.model.backbone.init_cfg = None
        with pytest.raises(TypeError, match=message):
            AnchorNetwork(MODELS.build(cfg.model))


def test_the_tool_names_the_inputs(
    exported, tiny_data, tmp_path, monkeypatch, capsys
):
    file = exported(RETINA)
    monkeypatch.chdir(tmp_path)
    read_config(RETINA, tiny_data).dump('meta.py')
    torch.save(dict(state_dict=file.model.state_dict()), 'meta.pth')

    def export(model, out, decode, images, anchors_as_input):
        """Instead of doing it again."""
        assert anchors_as_input
        out.write_bytes(file.path.read_bytes())
        return file.told

    monkeypatch.setattr(onnx_export, 'export_onnx', export)
    words = ['meta.py', 'meta.pth', 'new/free.onnx', '--anchors-as-input']
    monkeypatch.setattr(sys, 'argv', ['export_onnx.py', *words])
    runpy.run_path(f'{ROOT}/tools/export_onnx.py', run_name='__main__')
    told = capsys.readouterr().out.splitlines()
    assert 'input images (batch, 3, height, width)' in told
    assert 'input anchors_4 (number_4, 2)' in told
    assert 'output scores (batch, priors, classes)' in told


def test_the_file_holds_the_anchors_of_the_model(exported):
    file = exported(YOLO)
    kept = file.session.get_modelmeta().custom_metadata_map
    assert json.loads(kept['anchors']) == [
        [list(size) for size in level] for level in file.trained
    ]


def test_the_code_of_the_page(exported, tmp_path, monkeypatch):
    file = exported(RETINA)
    monkeypatch.chdir(tmp_path)
    Path('detector.onnx').write_bytes(file.path.read_bytes())
    cv2.imwrite('image.jpg', IMAGE)
    page = (ROOT / 'docs' / 'export.md').read_text()
    (block,) = re.findall('```python\n(.*?)```', page, re.S)
    names = {}
    exec(block, names)
    *trained, added = names['inputs']['anchors_0']
    np.testing.assert_allclose(trained, file.trained[0])
    w, h = file.trained[0][0]
    np.testing.assert_allclose(added, (w / 2, h))
    # 10 anchors in every cell of 192x256 px at strides 8 to 128.
    cells = 24 * 32 + 12 * 16 + 6 * 8 + 3 * 4 + 2 * 2
    assert names['boxes'].shape == (10 * cells, 4)
    best = names['best']
    scores = names['scores'].max(1)
    assert len(best) == 10
    assert scores[best].min() >= np.sort(scores)[-10]
