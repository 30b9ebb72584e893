"""The tools that choose and freeze anchors, run as a user runs them."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor import customize_anchors, read_anchors

ROOT = Path(__file__).resolve().parents[2]
STRIDES = (8, 16, 32, 64, 128)
TOOLS = {  # what follows a config and a checkpoint
    'search_anchors.py': ['found', '--images', '2', '--held-images', '2'],
    'bake_anchors.py': ['stock.pth'],
}


@pytest.fixture(scope='module')
def site(tmp_path_factory, tiny_data, tiny_config):
    """A folder with configs, checkpoints that fit them, and anchors."""
    root = tmp_path_factory.mktemp('anchors')
    patch = pytest.MonkeyPatch()
    patch.setenv('DATA_ROOT', str(tiny_data))
    torch.manual_seed(0)
    init_default_scope('mmdet')
    for kind in ('retinanet', 'meta-retinanet'):
        config = ROOT / 'configs' / 'custom' / f'{kind}_r18-w32_custom.py'
        (root / f'{kind}.py').write_text(tiny_config(config=config))
        cfg = Config.fromfile(root / f'{kind}.py')
        model = MODELS.build(cfg.model)
        state = model.state_dict()
        torch.save(state, root / f'{kind}.pth')
        state = {k: v for k, v in state.items() if 'bbox_head' not in k}
        torch.save(state, root / 'headless.pth')
    patch.undo()
    sizes = [[[3 * s, 2 * s]] for s in STRIDES]
    files = dict(
        good=dict(anchors_version=1, anchors=sizes),
        newer=dict(anchors_version=2, anchors=sizes),
        few=dict(anchors_version=1, anchors=sizes[:2]),
        bad=dict(anchors_version=1, anchors=[[[-1, 2]]] * 5),
        empty=dict(images=[], annotations=[], categories=[]),
        other=dict(a=1),
    )
    for name, content in files.items():
        (root / f'{name}.json').write_text(json.dumps(content))
    (root / 'broken.json').write_text('{"anchors_version": 1,')
    env = dict(
        os.environ,
        DATA_ROOT=str(tiny_data),
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
    )
    return root, env


def run(site, name, *words):
    root, env = site
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / name, *map(str, words)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def here(site, monkeypatch):
    """In the folder, with its data."""
    root, env = site
    monkeypatch.chdir(root)
    monkeypatch.setenv('DATA_ROOT', env['DATA_ROOT'])
    return root


def read(site, name):
    return json.loads((site[0] / name).read_text())


def test_from_boxes_to_a_stock_detector(site, tiny_data):
    """Cover, cluster, search and bake hand on one anchors file."""
    boxes = tiny_data / 'val.json'
    model = ('meta-retinanet.py', 'meta-retinanet.pth')
    run(
        site,
        'cluster_anchors.py',
        model[0],
        boxes,
        'clusters.json',
        '--number',
        2,
    )
    run(
        site,
        'cover_anchors.py',
        model[0],
        boxes,
        '--anchors',
        'clusters.json',
        '--out-dir',
        'cover',
    )
    groups = read(site, 'cover/cover.json')['groups']
    assert groups[0]['group'] == 'all' and groups[0]['boxes'] == 4
    # Squares of 24 to 42 px: two clusters fit them well.
    assert groups[0]['mean_iou'] > 0.5
    for steps in (1, 3):  # the second goes on after the first
        done = run(
            site,
            'search_anchors.py',
            *model,
            *TOOLS['search_anchors.py'],
            *('--start', 'clusters.json', '--steps', steps),
        )
        assert len(read(site, 'found/search.json')['steps']) == steps
    found = read(site, 'found/anchors.json')
    clusters = read(site, 'clusters.json')
    search = read(site, 'found/search.json')
    kept = sum(step['kept'] for step in search['steps'])
    # It begins with the clusters, or with the training anchors.
    starts = [clusters['anchors'], search['settings']['trained']]
    number = len(found['anchors'][0]) - kept
    begun = [level[:number] for level in found['anchors']]
    assert any(
        number == len(start[0]) and np.allclose(begun, start)
        for start in starts
    )
    assert 'mAP on the held images' in done.stdout
    assert all(read(site, 'found/search.json')['settings']['contents'])
    run(
        site,
        'bake_anchors.py',
        *model,
        'stock.pth',
        '--anchors',
        'found/anchors.json',
    )
    state = torch.load(site[0] / 'stock.pth')['state_dict']
    assert len(state['bbox_head.retina_reg.bias']) == 4 * (number + kept)


def test_search_of_own_candidates_from_nothing(here, site, fail):
    """The good.json holds one candidate, which is all that can be chosen.

    The training anchors come in its place where they score higher.
    """
    state = torch.load('meta-retinanet.pth')
    torch.save(state, 'alone.pth')
    words = ['meta-retinanet.py', 'alone.pth', 'alone', '--from-nothing']
    words += ['--candidates', 'good.json', '--images', 3, '--held-images', 5]
    done = run(site, 'search_anchors.py', *words)
    assert 'train has 4 images, so that 1 and not 5 are held' in done.stdout
    (step,) = read(site, 'alone/search.json')['steps']
    assert step['candidate'] == 0
    if (site[0] / 'alone' / 'anchors.json').exists():
        anchors = read(site, 'alone/anchors.json')['anchors']
        trained = read(site, 'alone/search.json')['settings']['trained']
        assert anchors in (trained, [[[3 * s, 2 * s]] for s in STRIDES])
        assert step['kept'] or anchors == trained
    else:
        assert step['score'] == 0 and not step['kept']
    # Another training under the same name is another search.
    other = {name: value + 0.1 for name, value in state.items()}
    torch.save(other, 'alone.pth')
    message = fail('search_anchors.py', *words)
    assert 'other settings (contents)' in message


@pytest.mark.parametrize(
    'edit',
    [
        'model = dict(test_cfg=dict(score_thr=0.5))',
        'test_dataloader = dict(dataset=dict(filter_cfg=dict(min_size=9)))',
    ],
)
def test_search_of_an_edited_config_is_another_one(site, here, fail, edit):
    """Its name and the checkpoint are those of before."""
    config = Path('edited.py')
    config.write_text("_base_ = './meta-retinanet.py'\n")
    words = ['edited.py', 'meta-retinanet.pth', f'edited{len(edit)}']
    words += ['--candidates', 'good.json', '--images', 4, '--held-images', 0]
    run(site, 'search_anchors.py', *words)
    config.write_text("_base_ = './meta-retinanet.py'\n" + edit + '\n')
    message = fail('search_anchors.py', *words)
    assert 'other settings (contents)' in message


def test_inferencer_takes_an_anchors_file(here, tiny_data):
    """As any model does, see README."""
    image = str(tiny_data / 'images' / '0.png')
    inferencer = DetInferencer(
        'meta-retinanet.py', 'meta-retinanet.pth', device='cpu'
    )
    customize_anchors(inferencer.model, read_anchors('good.json'))
    (found,) = inferencer(image, no_save_vis=True)['predictions']
    model = init_detector(
        'meta-retinanet.py', 'meta-retinanet.pth', device='cpu'
    )
    customize_anchors(model, [[(3 * s, 2 * s)] for s in STRIDES])
    expected = inference_detector(model, image).pred_instances
    assert len(expected) > 0
    torch.testing.assert_close(torch.tensor(found['scores']), expected.scores)
    torch.testing.assert_close(torch.tensor(found['bboxes']), expected.bboxes)


def test_a_stock_checkpoint_detects_the_same(here, tiny_data):
    """With the config of its twin; 9 filters of each level and class."""
    image = str(tiny_data / 'images' / '0.png')
    stock, meta = (
        inference_detector(
            init_detector(config, 'retinanet.pth', device='cpu'), image
        ).pred_instances
        for config in ('retinanet.py', 'meta-retinanet.py')
    )
    assert len(stock) > 0
    torch.testing.assert_close(meta.scores, stock.scores, rtol=0, atol=1e-5)
    assert torch.equal(meta.labels, stock.labels)
    torch.testing.assert_close(meta.bboxes, stock.bboxes, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('name', TOOLS)
@pytest.mark.parametrize(
    ('config', 'checkpoint', 'anchors', 'message'),
    [
        ('no.py', 'meta-retinanet.pth', 'good.json', 'no.py'),
        ('meta-retinanet.py', 'no.pth', 'good.json', 'no.pth does not exist'),
        ('meta-retinanet.py', 'headless.pth', 'good.json', 'does not fit'),
        ('retinanet.py', 'retinanet.pth', 'good.json', 'Meta'),
        ('meta-retinanet.py', 'meta-retinanet.pth', 'no.json', 'no.json'),
        ('meta-retinanet.py', 'meta-retinanet.pth', 'few.json', '5 strides'),
        ('meta-retinanet.py', 'meta-retinanet.pth', 'bad.json', '-1'),
        ('meta-retinanet.py', 'meta-retinanet.pth', 'newer.json', 'version 2'),
        ('meta-retinanet.py', 'meta-retinanet.pth', 'broken.json', 'not JSON'),
    ],
)
def test_bad_model_or_anchors(
    here, fail, name, config, checkpoint, anchors, message
):
    out, *options = TOOLS[name]
    kept = here / 'bad' / out
    kept.parent.mkdir(exist_ok=True)
    if kept.suffix:
        kept.write_text('as it was')
    option = '--start' if name == 'search_anchors.py' else '--anchors'
    words = [config, checkpoint, f'bad/{out}', *options, option, anchors]
    assert message in fail(name, *words)
    if kept.suffix:
        assert kept.read_text() == 'as it was'
    else:
        assert not kept.exists()


@pytest.mark.parametrize('name', ['cover_anchors.py', 'cluster_anchors.py'])
@pytest.mark.parametrize(
    ('config', 'boxes', 'message'),
    [
        ('no.py', 'empty.json', 'no.py'),
        ('meta-retinanet.py', 'no.json', 'no.json'),
        ('meta-retinanet.py', 'other.json', 'not a COCO JSON'),
        ('meta-retinanet.py', 'broken.json', 'not JSON'),
        ('meta-retinanet.py', 'empty.json', 'no boxes'),
    ],
)
def test_bad_boxes(here, fail, name, config, boxes, message):
    out = ['none.json'] if 'cluster' in name else ['--out-dir', 'none']
    assert message in fail(name, config, boxes, *out)
    assert not list(here.glob('none*'))


@pytest.mark.parametrize(
    ('anchors', 'message'),
    [('few.json', '5 strides'), ('newer.json', 'version 2'), ('3x3', '3x3')],
)
def test_bad_anchors_to_cover(here, fail, tiny_data, anchors, message):
    words = ['meta-retinanet.py', tiny_data / 'val.json', '--out-dir', 'none']
    assert message in fail('cover_anchors.py', *words, '--anchors', anchors)
    assert not (here / 'none').exists()


def test_class_names_are_no_markup_and_files_no_folders(
    here, fail, monkeypatch, capsys, tiny_data
):
    """Rich would take [m4] for a style."""
    content = json.loads((tiny_data / 'val.json').read_text())
    names = [f'{c["name"]} [m4]' for c in content['categories']]
    for category, name in zip(content['categories'], names, strict=True):
        category['name'] = name
    (here / 'named.json').write_text(json.dumps(content))
    config = Config.fromfile('meta-retinanet.py')
    config.test_dataloader.dataset.metainfo = dict(classes=names)
    config.dump('named.py')
    words = ['cover_anchors.py', 'named.py', 'named.json', '--out-dir']
    monkeypatch.setattr(sys, 'argv', [*words, 'named'])
    runpy.run_path(str(ROOT / 'tools' / words[0]), run_name='__main__')
    assert names[0] in capsys.readouterr().out
    assert 'good.json' in fail(*words, 'good.json')


@pytest.mark.parametrize(
    ('out', 'message'),
    [
        ('meta-retinanet.pth', 'meta-retinanet.pth would be overwritten'),
        # Here the config of another detector, which has no weights there.
        ('own.pth', 'own.py, where the config of own.pth'),
    ],
)
def test_bake_overwrites_nothing_of_its_user(here, fail, out, message):
    (here / 'own.py').write_text('# mine')
    model = here / 'meta-retinanet.pth'
    before = model.read_bytes()
    words = ['meta-retinanet.py', 'meta-retinanet.pth', out]
    assert message in fail('bake_anchors.py', *words)
    assert model.read_bytes() == before
    assert (here / 'own.py').read_text() == '# mine'


@pytest.mark.parametrize('name', ['cover', 'cluster', 'search', 'bake'])
def test_help(monkeypatch, capsys, name):
    name = f'{name}_anchors.py'
    monkeypatch.setattr(sys, 'argv', [name, '--help'])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    assert end.value.code == 0
    assert f'usage: {name}' in capsys.readouterr().out
