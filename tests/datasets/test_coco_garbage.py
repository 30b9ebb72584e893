"""Whatever a COCO JSON holds is read, or refused in one line."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdet_metaanchor.anchors.boxes import read_boxes
from mmdet_metaanchor.datasets.coco import read_classes

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.sampled_from([10**400, 1e300, float('nan'), float('inf'), -0.5, 1e-30]),
    st.text(max_size=3),
    st.lists(st.integers(-5, 60), max_size=5),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def entries(**usual):
    """Lists of entries that mostly hold the usual, and sometimes anything."""
    keys = {
        key: st.one_of(values, values, values, VALUES)
        for key, values in usual.items()
    }
    entry = st.fixed_dictionaries({}, optional=keys)
    whole = st.fixed_dictionaries(keys)
    return st.one_of(
        st.lists(st.one_of(whole, whole, whole, entry, VALUES), max_size=4),
        VALUES,
    )


IDS = st.integers(0, 3)
SIDES = st.integers(1, 60)
COCO = st.one_of(
    st.fixed_dictionaries(
        dict(
            images=entries(
                id=IDS,
                file_name=st.sampled_from(['a.png', 'b.png']),
                width=SIDES,
                height=SIDES,
            ),
            categories=entries(id=IDS, name=st.sampled_from('ab')),
            annotations=entries(
                id=IDS,
                image_id=IDS,
                category_id=IDS,
                bbox=st.tuples(SIDES, SIDES, SIDES, SIDES),
                area=SIDES,
                iscrowd=st.integers(0, 1),
            ),
        )
    ),
    VALUES,
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return tmp_path_factory.mktemp('coco')


def read_or_refuse(read, *arguments):
    try:
        return read(*arguments)
    except ValueError as error:
        assert str(error).strip()
        assert '\n' not in str(error)
        return None


@given(COCO)
def test_any_json_has_classes_and_boxes_or_is_refused(root, content):
    for name in ('train', 'val'):
        (root / f'{name}.json').write_text(json.dumps(content))
    classes = read_or_refuse(read_classes, str(root))
    assert classes is None or all(isinstance(name, str) for name in classes)
    boxes = read_or_refuse(read_boxes, root / 'train.json')
    if boxes is not None:
        assert (boxes.sizes > 0).all()


@given(st.one_of(st.binary(max_size=50), st.text(max_size=50)))
@example('[' * 100_000)
@example('9' * 5_000)
def test_what_is_no_json_is_refused(root, content):
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogatepass')
    for name in ('train', 'val'):
        (root / f'{name}.json').write_bytes(content)
    assert read_or_refuse(read_classes, str(root)) is None
    assert read_or_refuse(read_boxes, root / 'train.json') is None
