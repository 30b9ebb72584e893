"""VOC, YOLO and tables to COCO, by hand-made examples."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmdet_metaanchor.datasets.coco import read_classes
from mmdet_metaanchor.datasets.convert import (
    ImageFolder,
    WrongFiles,
    read_class_list,
    read_table,
    read_voc,
    read_yolo,
    write_coco,
)

TOOL = 'dataset_converters/to_coco.py'
CLASSES = ['zebra', 'apple']  # not by name, so that an order is one
# Boxes (x1, y1, x2, y2) as edges in px of images of 100x80 px.
SAME = {
    'a.png': [('zebra', 10, 20, 50, 40), ('apple', 0, 0, 100, 80)],
    'größe v2.1.png': [('apple', 10, 20, 50, 40)],
    'empty.png': [],
    'out.png': [('zebra', 90, 70, 120, 96)],
}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name in SAME:
        Image.new('RGB', (100, 80)).save(folder / name)
    return ImageFolder(folder)


def voc_file(name, boxes, size=(100, 80), more=''):
    objects = ''.join(
        f'<object><name>{label}</name>{more}<bndbox>'
        f'<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>'
        f'<ymax>{y2}</ymax></bndbox></object>'
        for label, x1, y1, x2, y2 in boxes
    )
    return (
        f'<annotation><filename>{name}</filename><size><width>{size[0]}'
        f'</width><height>{size[1]}</height></size>{objects}</annotation>'
    )


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace('__', '.')).write_text(text, encoding='utf-8')
    return folder


def as_voc(root):
    """Pixels from 1, the last in the box: the edges 10 and 50 are 11, 50."""
    return write(
        root / 'xml',
        **{
            f'{name[:-4]}.xml': voc_file(
                name,
                [(c, x1 + 1, y1 + 1, x2, y2) for c, x1, y1, x2, y2 in boxes],
            )
            for name, boxes in SAME.items()
        },
    )


def as_yolo(root):
    """Shares of 100 and 80 px of the centre and the size, 6 decimals."""
    lines = {
        name: [
            f'{CLASSES.index(c)} {(x1 + x2) / 200:.6f} {(y1 + y2) / 160:.6f} '
            f'{(x2 - x1) / 100:.6f} {(y2 - y1) / 80:.6f}\n'
            for c, x1, y1, x2, y2 in boxes
        ]
        for name, boxes in SAME.items()
    }
    folder = write(
        root / 'txt',
        **{f'{name[:-4]}.txt': ''.join(rows) for name, rows in lines.items()},
    )
    (folder / 'empty.txt').unlink()  # as good as an empty one
    return folder


def as_table(root, separator=',', comma=False):
    rows = [['id', 'File', 'class', 'ymin', 'xmin', 'xmax', 'ymax']]
    for name, boxes in SAME.items():
        for c, x1, y1, x2, y2 in boxes:
            rows.append(['1', name, c, y1, x1, f'{x2:.1f}', y2])
        if not boxes:
            rows.append(['2', name])
    text = '\n'.join(separator.join(map(str, row)) for row in rows)
    if comma:
        text = text.replace('.0', ',0')
    write(root, table__csv='\ufeff' + text)
    return root / 'table.csv'


def read(path):
    """(file, class, x, y, w, h) of every box, and the files."""
    content = json.loads(path.read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    classes = {c['id']: c['name'] for c in content['categories']}
    return [
        (names[a['image_id']], classes[a['category_id']], *a['bbox'])
        for a in content['annotations']
    ], sorted(names.values())


READERS = {
    'voc': lambda root, images: read_voc(as_voc(root), images),
    'yolo': lambda root, images: read_yolo(as_yolo(root), images, CLASSES),
    'csv': lambda root, images: read_table(as_table(root), images),
    'semicolons': lambda root, images: read_table(
        as_table(root, ';', True), images
    ),
    'tabs': lambda root, images: read_table(as_table(root, '\t'), images),
}


@pytest.mark.parametrize('kind', READERS)
def test_one_set_of_boxes_in_every_format(tmp_path, images, kind):
    out = tmp_path / 'out'
    found = READERS[kind](tmp_path, images)
    listed = tmp_path / 'val.list'
    listed.write_text('data/obj/out.png\n')
    told = write_coco(found, images, out, CLASSES, str(listed))
    boxes, files = read(out / 'train.json')
    # x, y, width, height: 10, 20, 50 - 10, 40 - 20.
    assert boxes == [
        ('a.png', 'zebra', 10, 20, 40, 20),
        ('a.png', 'apple', 0, 0, 100, 80),
        ('größe v2.1.png', 'apple', 10, 20, 40, 20),
    ]
    assert files == ['a.png', 'empty.png', 'größe v2.1.png']
    # 90 to 120 and 70 to 96 in an image of 100x80 px.
    assert read(out / 'val.json')[0] == [('out.png', 'zebra', 90, 70, 10, 10)]
    assert '1 boxes cut at the border of their image' in told
    assert '1 images without objects' in told
    assert 'val has no boxes of apple' in told
    assert read_classes(out) == ('zebra', 'apple')
    assert (out / 'images' / 'a.png').samefile(images.folder / 'a.png')


def test_difficult_objects_are_crowds(tmp_path, images):
    boxes = [('zebra', 1, 1, 9, 9)]
    folder = write(
        tmp_path / 'xml',
        a__xml=voc_file('', boxes, more='<difficult>1</difficult>'),
        empty__xml=voc_file('', boxes, more='<difficult>0</difficult>'),
    )
    write_coco(read_voc(folder, images), images, tmp_path / 'out', val='0.5')
    flags = {}
    for split in ('train', 'val'):
        content = json.loads((tmp_path / 'out' / f'{split}.json').read_text())
        (image,), (box,) = content['images'], content['annotations']
        flags[image['file_name']] = box['iscrowd']
    assert flags == {'a.png': 1, 'empty.png': 0}


def test_edges_are_not_pixels(tmp_path, images):
    folder = write(tmp_path / 'xml', a__xml=voc_file('', [('c', 0, 1, 9, 9)]))
    (found,), problems = read_voc(folder, images, from_one=False)
    assert found.boxes[0].corners == (0, 1, 9, 9) and not problems
    _, (problem,) = read_voc(folder, images)
    assert '(0, 1), and pixels are counted from 1' in problem


def test_a_split_is_drawn_by_its_seed(tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for i in range(10):
        Image.new('RGB', (8, 8)).save(folder / f'{i}.png')
    rows = [f'{i}.png,c,1,1,5,5' for i in range(10)]
    held = []
    for i, (order, seed) in enumerate([(1, 0), (-1, 0), (1, 1)]):
        table = tmp_path / f'{i}.csv'
        head = 'file,class,xmin,ymin,xmax,ymax'
        table.write_text('\n'.join([head, *rows[::order]]))
        images, out = ImageFolder(folder), tmp_path / f'out{i}'
        write_coco(read_table(table, images), images, out, None, '0.3', seed)
        train, val = (read(out / f'{s}.json')[1] for s in ('train', 'val'))
        assert len(val) == 3 and sorted(train + val) == images.names
        held.append(val)
    assert held[0] == held[1] != held[2]


# A folder of a year is no share, and a separator may be that of Windows.
@pytest.mark.parametrize(
    ('folder', 'val'),
    [('val', 'val'), ('2012', '2012'), ('sub/val', 'sub\\val')],
)
def test_val_is_a_folder(tmp_path, folder, val):
    for name in ('train/a.png', f'{folder}/a.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True)
        Image.new('RGB', (8, 8)).save(path)
        label = tmp_path / 'labels' / Path(name).with_suffix('.txt')
        label.parent.mkdir(parents=True)
        label.write_text('0 0.5 0.5 0.5 0.5')
    images = ImageFolder(tmp_path / 'images')
    found = read_yolo(tmp_path / 'labels', images, ['c'])
    write_coco(found, images, tmp_path, ['c'], val)
    # 8 px of which half, around the middle.
    expected = [(f'{folder}/a.png', 'c', 2, 2, 4, 4)]
    assert read(tmp_path / 'val.json')[0] == expected
    assert read(tmp_path / 'train.json')[1] == ['train/a.png']


def test_a_camera_that_was_held_upright(tmp_path):
    """Stored as 8x6 px with a note to turn it; MMDetection sees 6x8."""
    image = Image.new('RGB', (8, 6))
    exif = image.getexif()
    exif[0x112] = 6
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert ImageFolder(tmp_path).size('a.jpg') == (6, 8)


def test_names_in_another_unicode_form(tmp_path):
    Image.new('RGB', (8, 6)).save(tmp_path / 'gro\u0308n.png')
    assert ImageFolder(tmp_path).find('gr\xf6n.png') == 'gro\u0308n.png'


def test_an_image_of_the_same_name_in_another_folder(tmp_path):
    for folder in ('one', 'two/deep'):
        (tmp_path / folder).mkdir(parents=True)
        Image.new('RGB', (9, 9)).save(tmp_path / folder / 'same.png')
    Image.new('RGB', (9, 9)).save(tmp_path / 'one' / 'own.png')
    found = ImageFolder(tmp_path)
    assert found.find('deep/same') == 'two/deep/same.png'
    assert found.find('/elsewhere/one/same.png') == 'one/same.png'
    assert found.find('own.png') == 'one/own.png'
    with pytest.raises(ValueError, match='no image two/own.png'):
        found.find('two/own.png')
    with pytest.raises(ValueError, match='same.png may be .* or '):
        found.find('same.png')


def test_copies_where_there_are_no_links(tmp_path, images, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError('no links here')

    monkeypatch.setattr(Path, 'symlink_to', refuse)
    write_coco(READERS['csv'](tmp_path, images), images, tmp_path / 'out')
    copied = tmp_path / 'out' / 'images'
    assert not copied.is_symlink()
    assert ImageFolder(copied).names == images.names


def test_nothing_is_written_over(tmp_path, images):
    found = READERS['csv'](tmp_path, images)
    write_coco(found, images, tmp_path / 'out')
    before = (tmp_path / 'out' / 'val.json').read_text()
    with pytest.raises(FileExistsError, match='train.json is there'):
        write_coco(found, images, tmp_path / 'out', seed=1)
    assert (tmp_path / 'out' / 'val.json').read_text() == before
    (tmp_path / 'other' / 'images').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='images is there'):
        write_coco(found, images, tmp_path / 'other')
    assert not (tmp_path / 'other' / 'train.json').exists()


BAD_XML = {
    'broken': ('<annotation><object>', 'it is not XML: no element'),
    'nan': (voc_file('', [('c', 'nan', 1, 9, 9)]), 'xmin must be a number'),
    'lacking': (
        voc_file('', [('c', 1, 1, 9, 9)]).replace('<ymax>9</ymax>', ''),
        'object 1: ymax must be a number, got None',
    ),
    'flat': (voc_file('', [('c', 9, 1, 3, 9)]), 'px has no area'),
    'outside': (voc_file('', [('c', 120, 1, 130, 9)]), 'lies outside of its'),
    # Of corners 9.001 and 9.004 px, rounded to 0.01 px, nothing is left.
    'thin': (voc_file('', [('c', 10.001, 1, 9.004, 9)]), 'less than 0.01 px'),
    'turned': (voc_file('', [], (80, 100)), '80x100 px, and a.png has 100x80'),
    'nameless': (voc_file('', [(' ', 1, 1, 9, 9)]), 'it has no name'),
}
BAD_TXT = {
    'beyond': ('0 .5 .5 .1 .1\n2 .5 .5 .1 .1', 'line 2: the classes are 0 to'),
    'negative': ('-1 .5 .5 .1 .1', 'the classes are 0 to 1, got -1'),
    'nan': ('0 .5 nan .1 .1', 'line 1: y must be a number, got nan'),
    'lacking': ('0 .5 .5 .1', 'a box has 5 numbers'),
    'polygon': ('0 .1 .1 .2 .1 .2 .2', 'width and height, got 7'),
    'px': ('0 50 40 10 10', 'lies outside of its image of 100x80 px'),
}


@pytest.mark.parametrize('kind', BAD_XML)
def test_bad_xml(tmp_path, images, kind):
    text, message = BAD_XML[kind]
    folder = write(tmp_path / 'xml', a__xml=text)
    _, (problem,) = read_voc(folder, images)
    assert problem.startswith(f'{folder}/a.xml: ') and message in problem


@pytest.mark.parametrize('kind', BAD_TXT)
def test_bad_text(tmp_path, images, kind):
    text, message = BAD_TXT[kind]
    folder = write(tmp_path / 'txt', a__txt=text)
    _, (problem,) = read_yolo(folder, images, CLASSES)
    assert problem.startswith(f'{folder}/a.txt: ') and message in problem


def test_bad_rows_are_all_named(tmp_path, images):
    table = tmp_path / 'table.csv'
    table.write_text(
        'file,class,x1,y1,x2,y2\n'
        'a.png,c,1,1,9,9\n'
        'none.png,c,1,1,9,9\n'
        'a.png,c,1,1,9\n'
        'a.png,,1,1,9,9\n'
        'a.png,c,1,inf,9,9\n'
    )
    found = read_table(table, images)
    assert [problem.partition(': ')[0][-6:] for problem in found.problems] == [
        f'line {number}' for number in (3, 4, 5, 6)
    ]
    with pytest.raises(WrongFiles, match='none.png.*and 3 more.*nothing'):
        write_coco(found, images, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_columns_that_are_not_there(tmp_path, images):
    (tmp_path / 'table.csv').write_text('file,x,y,w,h\n')
    with pytest.raises(
        ValueError, match="no column class, xmin, ymin, xmax, ymax; its .*,h'"
    ):
        read_table(tmp_path / 'table.csv', images)


def test_classes_that_are_not_listed(tmp_path, images):
    found = READERS['voc'](tmp_path, images)
    with pytest.raises(WrongFiles, match='a.png: class zebra.*and 1 more'):
        write_coco(found, images, tmp_path / 'out', ['apple'])


def test_images_without_annotation(tmp_path, images):
    """VOC and tables leave them out; to YOLO they are without objects."""
    boxes = [('zebra', 1, 1, 9, 9)]
    folder = write(
        tmp_path / 'xml',
        a__xml=voc_file('', boxes),
        out__xml=voc_file('', boxes),
    )
    told = write_coco(read_voc(folder, images), images, tmp_path / 'out')
    assert told[-1] == (
        '2 images left out, without annotation: empty.png, größe v2.1.png'
    )
    text = write(tmp_path / 'txt', a__txt='0 .5 .5 .1 .1')
    found = read_yolo(text, images, CLASSES)
    told = write_coco(found, images, tmp_path / 'two', ['zebra'], val='0.5')
    assert '3 images without objects' in told


def test_two_files_about_an_image(tmp_path, images):
    folder = as_voc(tmp_path)
    write(folder, b__xml=voc_file('a.png', []))
    with pytest.raises(WrongFiles, match='a.png: 2 files'):
        write_coco(read_voc(folder, images), images, tmp_path / 'out')


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('c.txt', 'a\n\nb\n', "none empty, got .'a', '', 'b'"),
        ('c.txt', 'a\na\n', 'each once'),
        ('c.yaml', 'names: {0: a, 2: b}', 'without gaps'),
        ('c.yaml', 'nc: 2', 'must list classes'),
        ('c.yaml', '{', 'is not YAML'),
    ],
)
def test_bad_class_lists(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f'{name}.*{message}'):
        read_class_list(tmp_path / name)


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('c.txt', 'zebra\napple\n\n'),
        ('c.yaml', 'names: [zebra, apple]'),
        ('c.yml', 'names: {1: apple, 0: zebra}'),
    ],
)
def test_class_lists(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_class_list(tmp_path / name) == CLASSES


@pytest.mark.parametrize(
    ('val', 'message'),
    [
        ('1.5', 'must be in (0, 1)'),
        ('nowhere', 'val must be a share'),
        ('0.99', 'leaves 0 images to train with and 4'),
    ],
)
def test_bad_val(tmp_path, images, val, message):
    with pytest.raises(ValueError) as error:
        write_coco(
            READERS['csv'](tmp_path, images), images, tmp_path / 'o', val=val
        )
    assert message in str(error.value)
    assert not (tmp_path / 'o').exists()


def test_tool(tmp_path, images, monkeypatch, capsys, fail):
    folder = as_yolo(tmp_path)
    (folder / 'classes.txt').write_text('zebra\napple\n')
    words = [folder, images.folder, tmp_path / 'out']
    words += ['--classes', folder / 'classes.txt']
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setattr(sys, 'argv', ['t', 'yolo', *map(str, words)])
    runpy.run_path(str(root / 'tools' / TOOL), run_name='__main__')
    assert f'next: export DATA_ROOT={tmp_path}/out' in capsys.readouterr().out
    assert read_classes(tmp_path / 'out') == ('zebra', 'apple')
    for name in ('a', 'out'):
        (folder / f'{name}.txt').write_text('7 .5 .5 .1 .1')
    words[2] = tmp_path / 'none'
    assert 'a.txt: line 1: the classes are 0 to 1, got 7 (and 1 more)' in (
        fail(TOOL, 'yolo', *words)
    )
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(':')[0] for line in told] == [
        str(folder / 'a.txt'),
        str(folder / 'out.txt'),
    ]
    missing = tmp_path / 'no'
    assert 'no is not a folder' in fail(TOOL, 'voc', folder, missing, 'out')
    assert 'holds no .xml' in fail(TOOL, 'voc', folder, images.folder, 'out')
    assert 'none.csv' in fail(TOOL, 'csv', 'none.csv', images.folder, 'out')
