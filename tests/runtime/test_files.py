import pytest

from mmdet_metaanchor.runtime.files import go_on_from, replacing, write_json


def test_replacing_keeps_the_old_file_if_writing_fails(tmp_path):
    path = tmp_path / 'report.md'
    path.write_text('old')
    with pytest.raises(OSError), replacing(path) as part:
        part.write_text('half of the n')
        raise OSError('disk full')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_shows_nothing_before_the_end(tmp_path):
    path = tmp_path / 'report.md'
    path.write_text('old')
    with replacing(path) as part:
        part.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_goes_on_from_equal_settings_only(tmp_path):
    path = tmp_path / 'log.json'
    settings = dict(size=(2, 3), seed=0)
    start = go_on_from(path, settings)
    assert start == dict(settings=dict(size=[2, 3], seed=0))
    write_json(path, dict(start, steps=[1]))
    assert go_on_from(path, settings) == dict(start, steps=[1])
    for others in (dict(settings, seed=1), dict(size=(2, 3))):
        with pytest.raises(ValueError, match=r'other settings \(seed\)'):
            go_on_from(path, others)
