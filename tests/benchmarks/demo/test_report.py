"""The table, Markdown and JSON of the demo hold the numbers given."""

import io
import json

from benchmarks.demo import report
from benchmarks.metrics import METRICS


def make_row(model, anchors, per_cell, metrics):
    row = dict(model=model, anchors=anchors, per_cell=per_cell)
    return {**row, **dict(zip(METRICS, metrics, strict=True))}


ROWS = [
    make_row('RetinaNet', 'as trained', 9, [0.482, 0.7, 0.5, 0.2, 0.45, 0.6]),
    make_row('MetaAnchor', '1x1', 1, [0.4664, 0.68, 0.49, 0.19, 0.44, -1]),
]
CELLS = [
    ['RetinaNet', 'as trained', '9', '48.2', '70.0', '50.0', '20.0', '45.0']
    + ['60.0'],
    # 0.4664 -> 46.64 % -> 46.6; CocoMetric's -1 is no number.
    ['MetaAnchor', '1x1', '1', '46.6', '68.0', '49.0', '19.0', '44.0', '-'],
]
RECORD = dict(
    config='configs/some.py',
    settings=dict(train_cfg=dict(max_epochs=7), randomness=dict(seed=3)),
    images=dict(train=24, val=12),
    machine=dict(cores=2, device='CPU, Some Name', torch='2.0.1'),
    seconds=90.0,
)


def write(folder):
    return report.write_report(
        folder,
        rows=ROWS,
        records=dict(RetinaNet=RECORD),
        val=dict(RetinaNet={10: {'coco/bbox_mAP': 0.25}}),
        anchor_sets=[dict(name='1x1', definition='one', anchors=None)],
        cfg_options=['a.b=1'],
    )


def test_markdown_holds_every_row(tmp_path):
    lines = write(tmp_path).read_text().splitlines()
    tables = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('|')
    ]
    head = tables.index(report.HEADINGS)
    assert tables[head + 2 : head + 4] == CELLS
    # 90 s are 1.5 min.
    assert [
        'RetinaNet',
        '`configs/some.py`',
        '24 train and 12 val images',
        '7',
        '3',
        '1.5 min',
        'CPU, Some Name, 2 CPU cores, torch 2.0.1',
    ] in tables
    assert ['1x1', 'one'] in tables


def test_markdown_shows_the_pictures(tmp_path):
    text = write(tmp_path).read_text()
    for name in ('curves', 'detections', 'anchors'):
        assert f']({name}.png)' in text


def test_json_holds_what_was_given(tmp_path):
    write(tmp_path)
    content = json.loads((tmp_path / 'report.json').read_text())
    assert content['rows'] == ROWS
    assert content['trainings'] == dict(RetinaNet=RECORD)
    assert content['val']['RetinaNet']['10'] == {'coco/bbox_mAP': 0.25}
    assert content['cfg_options'] == ['a.b=1']
    assert {'torch', 'mmdet', 'python'} <= content['versions'].keys()


def test_printed_table_is_whole_where_there_is_no_terminal(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr('sys.stdout', out)
    monkeypatch.setenv('COLUMNS', '20')
    report.print_table(ROWS)
    lines = out.getvalue().splitlines()
    for cells in CELLS:
        assert any(line.split() == ' '.join(cells).split() for line in lines)
