"""Files that would mix up images or classes are refused; beside it, stock."""

import json

import pytest

STOCK = 'CocoDataset'

# Texts of files, what is wrong, and the error of stock.
FILES = {
    'broken': ('{"images": [', 'is not JSON', json.JSONDecodeError),
    'empty': ('', 'is not JSON', json.JSONDecodeError),
    'a list': ('[]', 'not a COCO JSON, but a list', AssertionError),
    'other keys': ('{}', 'no list of images', KeyError),
}


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_is_not_coco(dirty, name):
    text, message, of_stock = FILES[name]
    (dirty.root / 'boxes.json').write_text(text)
    with pytest.raises(ValueError, match=f'boxes.json.*{message}'):
        dirty.build(write=False)
    with pytest.raises(of_stock) as error:
        dirty.build(STOCK, write=False)
    assert 'boxes.json' not in str(error.value)


def test_a_file_that_is_not_text(dirty):
    (dirty.root / 'boxes.json').write_bytes(b'\xff\xd8\xff')
    with pytest.raises(ValueError, match='boxes.json is not JSON'):
        dirty.build(write=False)


@pytest.mark.parametrize(
    ('kind', 'key'),
    [
        ('images', 'id'),
        ('images', 'file_name'),
        ('images', 'width'),
        ('categories', 'name'),
        ('annotations', 'image_id'),
        ('annotations', 'bbox'),
    ],
)
def test_a_key_that_is_missing(dirty, kind, key):
    del dirty.content[kind][2][key]
    with pytest.raises(
        ValueError,
        match=f"boxes.json: 1 of . {kind} have no usable '{key}', at places 2",
    ):
        dirty.build()
    with pytest.raises(KeyError, match=f"^'{key}'$"):
        dirty.build(STOCK)


def test_only_a_test_can_do_without_annotations(dirty):
    """As COCO's own files of test images."""
    del dirty.content['annotations']
    assert len(dirty.build(test_mode=True)) == 6
    with pytest.raises(ValueError, match='no list of annotations'):
        dirty.build()
    assert len(dirty.build(STOCK)) == 6


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('kind', ['images', 'annotations', 'categories'])
def test_ids_that_repeat(dirty, kind, test_mode):
    first, second, *_ = dirty.content[kind]
    second['id'] = first['id']
    with pytest.raises(
        ValueError,
        match=f'boxes.json: ids of its {kind} repeat: {first["id"]}',
    ):
        dirty.build(test_mode=test_mode)
    if kind == 'annotations':
        with pytest.raises(AssertionError, match='are not unique'):
            dirty.build(STOCK)
    elif kind == 'images':  # one of them is gone without a word
        assert len(dirty.build(STOCK)) == 5
    else:  # 'other', which the detector does not know, is learnt as 'odd'
        second['id'], dirty.annotations[-1]['category_id'] = 7, 7
        assert dirty.targets(STOCK)[-1]['instances'][0]['bbox_label'] == 0


@pytest.mark.parametrize(
    ('listed', 'label'),
    [
        ({3: 'even', 9: 'other', 7: 'odd'}, 0),  # the other way round
        ({9: 'other', 3: 'even'}, 0),  # one is missing
        ({7: 'odd', 8: 'odd', 3: 'even'}, 2),  # of two classes
    ],
)
def test_categories_that_are_not_the_classes(dirty, listed, label):
    """Stock numbers by the file what ``metainfo`` makes 1, 'even'."""
    dirty.content['categories'] = [
        dict(id=number, name=name) for number, name in listed.items()
    ]
    for test_mode in (False, True):
        with pytest.raises(ValueError, match='json lists the categories'):
            dirty.build(test_mode=test_mode)
    assert dirty.targets(STOCK)[0]['instances'][-1]['bbox_label'] == label
