"""Whatever annotations hold, what is left of them can be learnt."""

import json

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdet_metaanchor.datasets.coco_faults import find_faults, take_out
from mmdet_metaanchor.datasets.coco_json import is_number, read_coco

NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([0, 1, -1, 1e-30, 95.999, 1e30, 1e308, 10**400, 64, 96]),
)
VALUES = st.one_of(NUMBERS, st.none(), st.text(max_size=2), st.booleans())
BOXES = st.one_of(
    st.lists(NUMBERS, min_size=4, max_size=4),
    st.lists(VALUES, max_size=5),
    VALUES,
)
IDS = st.one_of(st.integers(0, 3), VALUES, st.lists(VALUES, max_size=1))
ENTRIES = st.fixed_dictionaries(
    dict(image_id=IDS, category_id=IDS, bbox=BOXES),
    optional=dict(area=VALUES, iscrowd=VALUES, ignore=VALUES),
)


@given(entries=st.lists(ENTRIES, max_size=6))
@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_left_can_be_learnt(tmp_path, entries):
    """Whatever a file holds: nothing is lost that is not counted."""
    path = tmp_path / 'boxes.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=i, file_name='a', width=96, height=64 * i)
                    for i in range(3)
                ],
                categories=[dict(id=i, name=str(i)) for i in range(3)],
                annotations=[dict(e, id=i) for i, e in enumerate(entries)],
            )
        )
    )
    content = read_coco(path)
    faults = find_faults(content)
    take_out(content, faults)
    left = [entry['id'] for entry in content['annotations']]
    assert sorted([*left, *sum(faults.values(), [])]) == list(
        range(len(entries))
    )
    assert not find_faults(content)
    for entry in content['annotations']:
        x, y, w, h = entry['bbox']
        box = torch.tensor([x, y, x + w, y + h], dtype=torch.float32)
        assert box.isfinite().all()
        assert w >= 1 and h >= 1 and entry['area'] > 0
        assert x < 96 and x + w > 0 and y < 64 * entry['image_id']
        assert is_number(entry['area'])
