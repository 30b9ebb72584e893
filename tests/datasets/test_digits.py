"""The embedded data set: laws of the seed, of the files and of the folder."""

import inspect
import json
import math
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from sklearn.datasets import load_digits

from mmdet_metaanchor.datasets.digits import (
    CLASSES,
    make_digits,
    split_sources,
)

TARGET = load_digits().target
SMALL = dict(num_train=6, num_val=3, image_size=(160, 120))
SMALL.update(size_range=(12, 60))
TINY = {**SMALL, 'num_train': 1, 'num_val': 1}


def contents(folder):
    """Every file below a folder: relative path -> bytes."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def boxes(folder, split):
    content = json.loads((folder / f'{split}.json').read_text())
    return np.array([a['bbox'] for a in content['annotations']])


@pytest.fixture(scope='module')
def small_set(tmp_path_factory):
    return make_digits(tmp_path_factory.mktemp('set') / 'digits', **SMALL)


# The seed


def test_same_seed_gives_the_same_bytes(small_set, tmp_path):
    again = make_digits(tmp_path / 'again', **SMALL)
    assert contents(again) == contents(small_set)


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    before, made = cv2.getNumThreads(), []
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            assert cv2.getNumThreads() == threads
            folder = tmp_path / str(threads)
            made.append(make_digits(folder, num_train=2, num_val=1))
    finally:
        cv2.setNumThreads(before)
    assert contents(made[0]) == contents(made[1])


def test_another_seed_gives_other_images_and_boxes(small_set, tmp_path):
    other = make_digits(tmp_path / 'other', **SMALL, seed=1)
    ours, theirs = contents(small_set), contents(other)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)
    assert boxes(other, 'train').tolist() != boxes(small_set, 'train').tolist()


def test_a_larger_number_only_appends(small_set, tmp_path):
    larger = make_digits(
        tmp_path / 'larger', **{**SMALL, 'num_train': 8, 'num_val': 4}
    )
    ours, theirs = contents(small_set), contents(larger)
    for name in ours:
        if name.endswith('.json'):
            short, long = json.loads(ours[name]), json.loads(theirs[name])
            for part in ('images', 'annotations'):
                assert long[part][: len(short[part])] == short[part]
        else:
            assert theirs[name] == ours[name]
    assert len(theirs) == len(ours) + 3  # 2 images for train, 1 for val


# The files


def test_the_default_settings_make_a_set(tmp_path):
    folder = make_digits(tmp_path / 'set', num_train=1, num_val=1)
    picture = cv2.imread(str(folder / 'images' / 'train_000000.jpg'))
    assert picture.shape == (240, 320, 3)


def test_train_and_val_share_no_source_digit(small_set):
    used = {}
    for split in ('train', 'val'):
        content = json.loads((small_set / f'{split}.json').read_text())
        used[split] = {a['source'] for a in content['annotations']}
    shares = split_sources(TARGET, seed=0)
    assert used['train'] <= set(shares['train'])
    assert used['val'] <= set(shares['val'])
    assert not set(shares['train']) & set(shares['val'])
    assert len(shares['train']) + len(shares['val']) == 1797


def test_val_keeps_a_fifth_of_each_class():
    shares = split_sources(TARGET, seed=5)
    in_val = np.bincount(TARGET[shares['val']])
    assert in_val.tolist() == (np.bincount(TARGET) // 5).tolist()


@pytest.mark.parametrize('split, number', [('train', 6), ('val', 3)])
def test_pycocotools_reads_it(small_set, split, number):
    coco = COCO(small_set / f'{split}.json')
    names = {c['id']: c['name'] for c in coco.loadCats(coco.getCatIds())}
    assert list(names.values()) == list(CLASSES)
    assert len(coco.getImgIds()) == number
    for image in coco.loadImgs(coco.getImgIds()):
        picture = cv2.imread(str(small_set / 'images' / image['file_name']))
        assert picture.shape == (image['height'], image['width'], 3)
        assert picture.shape == (120, 160, 3)
        assert coco.getAnnIds(image['id'])
    for annotation in coco.loadAnns(coco.getAnnIds()):
        _, _, w, h = annotation['bbox']
        assert annotation['area'] == w * h
        assert annotation['iscrowd'] == 0
        label = names[annotation['category_id']]
        assert label == str(TARGET[annotation['source']])


def test_info_holds_the_settings(small_set):
    found = json.loads((small_set / 'val.json').read_text())['info']
    assert found['settings']['size_range'] == [12, 60]
    assert found['settings']['seed'] == 0


# The folder


def test_the_same_set_is_reused(small_set):
    stamps = {p: p.stat().st_mtime_ns for p in small_set.rglob('*')}
    assert make_digits(small_set, **SMALL) == small_set
    assert stamps == {p: p.stat().st_mtime_ns for p in small_set.rglob('*')}


def test_other_settings_are_refused_and_named(small_set):
    before = contents(small_set)
    with pytest.raises(FileExistsError, match='seed is 0, not 7'):
        make_digits(small_set, **SMALL, seed=7)
    assert contents(small_set) == before


def test_a_set_that_lost_an_image_is_refused(tmp_path):
    folder = make_digits(tmp_path / 'set', **TINY)
    (folder / 'images' / 'val_000000.jpg').unlink()
    with pytest.raises(FileExistsError, match='val_000000.jpg'):
        make_digits(folder, **TINY)


@pytest.mark.parametrize('text', ['', '[]', '{"info": {}}', '{"info": 1}'])
def test_files_of_others_are_left_alone(tmp_path, text):
    (tmp_path / 'train.json').write_text(text)
    (tmp_path / 'mine.txt').write_text('mine')
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match='is no set of digits'):
        make_digits(tmp_path, **SMALL)
    assert contents(tmp_path) == before


def test_an_empty_folder_is_filled(tmp_path):
    folder = tmp_path / 'empty'
    folder.mkdir()
    make_digits(folder, **TINY)
    assert len(contents(folder)) == 4  # 2 images, 2 COCO files


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cv2, 'imencode', fail)
    with pytest.raises(KeyboardInterrupt):
        make_digits(tmp_path / 'parent' / 'set', **SMALL)
    assert not contents(tmp_path)
    assert not list((tmp_path / 'parent').iterdir())


# Bad values


BAD = dict(
    num_train=[0, 2.5],
    num_val=[-1, True, None],
    image_size=[(320,), 320, (320, 8), (320.5, 240)],
    size_range=[(160, 12), (0, 12), (-3, 12), (math.nan, 12), (12, math.inf)],
    ratio_range=[(3, 1), (0, 1), (1, 2, 3), ('1', '2')],
    objects=[(0, 3), (3, 2), (1, 2.5)],
    seed=[-1, 0.5],
)


@pytest.mark.parametrize(
    'name, value', [(name, v) for name in BAD for v in BAD[name]]
)
def test_bad_values_are_refused_with_the_value(tmp_path, name, value):
    with pytest.raises(ValueError) as error:
        make_digits(tmp_path / 'set', **{name: value})
    assert name in str(error.value)
    assert repr(value) in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'size, ratio, limit',
    [
        (150, (1 / 3, 3), '141.421'),  # sqrt(200 * 100)
        (80, (4, 5), '50'),  # 100 / sqrt(4): 25 x 100 px
        (80, (0.01, 0.04), '40'),  # 200 * sqrt(0.04): 200 x 8 px
    ],
)
def test_sizes_that_cannot_fit_are_refused(tmp_path, size, ratio, limit):
    with pytest.raises(ValueError, match=f'end at {limit} px') as error:
        make_digits(
            tmp_path / 'set',
            image_size=(200, 100),
            size_range=(12, size),
            ratio_range=ratio,
        )
    assert f'[12.0, {size:.1f}]' in str(error.value)


# The command


TOOL = str(Path(__file__).parents[2] / 'tools' / 'make_digits.py')


def test_tool_has_the_defaults_of_the_function(monkeypatch):
    monkeypatch.setattr(sys, 'argv', [TOOL])
    options = vars(runpy.run_path(TOOL)['parse_args']())
    del options['out_dir']
    parameters = inspect.signature(make_digits).parameters
    assert options == {name: parameters[name].default for name in options}
    assert len(options) == len(parameters) - 1


def test_tool_passes_every_option_on(tmp_path, monkeypatch, capsys):
    expected = make_digits(
        tmp_path / 'expected',
        num_train=2,
        num_val=1,
        image_size=(90, 80),
        size_range=(10, 40),
        ratio_range=(0.5, 1.5),
        objects=(1, 3),
        seed=4,
    )
    folder = str(tmp_path / 'set')
    flags = '--num-train 2 --num-val 1 --image-size 90 80 --size-range 10 40 '
    flags += '--ratio-range 0.5 1.5 --objects 1 3 --seed 4'
    monkeypatch.setattr(sys, 'argv', [TOOL, folder, *flags.split()])
    runpy.run_path(TOOL, run_name='__main__')
    assert capsys.readouterr().out.strip() == folder
    assert contents(tmp_path / 'set') == contents(expected)


def test_tool_reports_a_bad_value_in_one_line(tmp_path, monkeypatch):
    flags = ['--size-range', '90', '30']
    monkeypatch.setattr(sys, 'argv', [TOOL, str(tmp_path / 'set'), *flags])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(TOOL, run_name='__main__')
    # A text is what Python prints to stderr before it exits with status 1.
    assert isinstance(stop.value.code, str)
    assert '\n' not in stop.value.code
    assert '[90.0, 30.0]' in stop.value.code
    assert not list(tmp_path.iterdir())
