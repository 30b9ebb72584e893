import pytest

from mmdet_metaanchor.files import replacing


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
