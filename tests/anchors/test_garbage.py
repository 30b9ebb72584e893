"""Whatever an anchors file or a command line holds is anchors, or refused."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdet_metaanchor import MetaAnchorGenerator, read_anchors, write_anchors
from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.customize import build_anchors, list_shapes

STRIDES = [8, 16]
TRAINED = MetaAnchorGenerator(STRIDES, scales=[4], ratios=[1.0])
NUMBERS = st.one_of(st.integers(), st.floats())
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)
# What looks like anchors: any numbers in the place of sizes.
LEVELS = st.lists(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=3), max_size=3),
    max_size=3,
)
CONFIGS = st.dictionaries(
    st.sampled_from(
        ['scales', 'ratios', 'strides', 'shapes', 'priors', 'type', 'centers']
    ),
    st.one_of(JSON, st.lists(NUMBERS, max_size=3), LEVELS),
    max_size=4,
)
SIDES = st.floats(1e-6, 1e6)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('anchors') / 'anchors.json'


def check_refusal(call, *arguments):
    """Nothing, or an error of the user in one line."""
    try:
        return call(*arguments)
    except (TypeError, ValueError) as error:
        assert str(error).strip()
        return None


@given(
    st.lists(
        st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5),
        min_size=2, max_size=2,
    )
)  # fmt: skip
def test_a_file_gives_back_what_was_written(path, shapes):
    """To the last bit: JSON writes numbers so that they come back."""
    write_anchors(path, shapes, note='some')
    again = read_anchors(path)
    assert [[tuple(size) for size in level] for level in again] == shapes


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
@example(b'\xff\xfe')
@example('[' * 100_000)
@example('{"anchors_version": 1}')
@example('9' * 5_000)
def test_what_is_no_file_is_refused_by_name(path, content):
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogatepass')
    path.write_bytes(content)
    try:
        read_anchors(path)
    except ValueError as error:
        assert str(path) in str(error)
        assert '\n' not in str(error)
    else:
        json.loads(content.decode())


@given(st.one_of(JSON, LEVELS, CONFIGS))
@example({'type': ''})
@example({'type': 'nothing of this name'})
@example([[], {}])
def test_any_json_is_anchors_or_refused(path, content):
    path.write_text(json.dumps(content))
    generator = check_refusal(build_anchors, read_anchors(path), TRAINED)
    if generator is not None:
        for level in list_shapes(generator):
            assert level
            assert all(0 < side < math.inf for size in level for side in size)


@pytest.mark.parametrize('kind', ['os.mkdir', 'pathlib.Path.mkdir'])
@pytest.mark.parametrize('nested', [False, True])
def test_nothing_is_called_but_generators(tmp_path, kind, nested):
    """MMEngine builds whatever a name leads to."""
    trace = tmp_path / 'executed'
    content = dict(type=kind, path=str(trace))
    # What a generator needs is added to it, unless it is one of `priors`.
    content = dict(priors=content) if nested else content
    with pytest.raises(TypeError, match='must build an AnchorGenerator'):
        build_anchors(content, TRAINED)
    assert not trace.exists()


@given(st.text(max_size=40))
@example('{[]: 1}')
@example('(' * 1_000)
@example('\0')
def test_any_word_is_a_literal_or_refused(text):
    try:
        parse_anchors(text)
    except FileNotFoundError:
        assert text.endswith('.json')
    except ValueError as error:
        assert repr(text) in str(error) or text.endswith('.json')
