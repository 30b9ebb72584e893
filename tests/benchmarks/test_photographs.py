"""The split of data for the grid of photographs."""

import json

import pytest

from benchmarks import photographs

CONTENT = dict(
    images=[dict(id=i) for i in range(5)],
    categories=[dict(id=7, name='patches'), dict(id=9, name='scratches')],
    annotations=[
        # Image 0: a ratio of 2. Image 1: 2, and 2.5 upright.
        dict(image_id=0, category_id=7, bbox=[0, 0, 20, 10]),
        dict(image_id=1, category_id=7, bbox=[0, 0, 20, 10]),
        dict(image_id=1, category_id=7, bbox=[0, 0, 10, 25]),
        # Image 2: another class beside it. Image 3: that class alone.
        dict(image_id=2, category_id=7, bbox=[0, 0, 10, 10]),
        dict(image_id=2, category_id=9, bbox=[0, 0, 10, 10]),
        dict(image_id=3, category_id=9, bbox=[0, 0, 10, 10]),
        # Image 4 has no boxes.
    ],
)


@pytest.mark.parametrize(
    'max_ratio, ids', [(2, [0]), (2.5, [0, 1]), (float('inf'), [0, 1])]
)
def test_with_short_boxes(max_ratio, ids):
    found = photographs.with_short_boxes(CONTENT, ('patches',), max_ratio)
    assert [image['id'] for image in found['images']] == ids
    assert {a['image_id'] for a in found['annotations']} == set(ids)
    assert found['categories'] == CONTENT['categories'][:1]
    assert len(CONTENT['images']) == 5  # nothing is changed


@pytest.mark.parametrize(('max_ratio', 'kept'), [(2, 0), (float('inf'), 1)])
def test_a_box_without_a_height_is_longer_than_any_ratio(max_ratio, kept):
    box = dict(image_id=0, category_id=7, bbox=[0, 0, 20, 0])
    content = dict(CONTENT, annotations=[box])
    found = photographs.with_short_boxes(content, ('patches',), max_ratio)
    assert len(found['images']) == kept


def test_prepare(tmp_path):
    source, out = tmp_path / 'source', tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match='plates holds no train.json'):
        photographs.prepare(source, out)
    for name in photographs.FOLDERS:
        (source / name / 'images').mkdir(parents=True)
        for split in ('train', 'val'):
            path = source / name / f'{split}.json'
            path.write_text(json.dumps(CONTENT))
    for _ in range(2):  # it can be repeated
        photographs.prepare(source, out)
    photographs.prepare(out, out)  # nor does this lose its links
    assert (out / 'plates' / 'val.json').is_file()
    assert (out / 'neu-square' / 'images').is_dir()
    for split, number in (('train', 1), ('val', 2)):
        found = json.loads((out / f'neu-square/{split}.json').read_text())
        assert len(found['images']) == number
    # One of five images is held back, with its boxes.
    for split, images, boxes in (('train', [1, 2, 3, 4], 5), ('val', [0], 1)):
        found = json.loads((out / f'plates-part/{split}.json').read_text())
        assert [image['id'] for image in found['images']] == images
        assert len(found['annotations']) == boxes
