"""Images that cannot be read are named; beside it, what stock does."""

import re

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmdet_metaanchor.datasets.image_files import image_fault

STOCK = 'CocoDataset'
SIZE = (96, 64)


def encoded(picture, suffix):
    return cv2.imencode(suffix, picture)[1].tobytes()


def damaged(data):
    """With other bytes in the middle, and the same header and end."""
    middle = len(data) // 2
    return data[:middle] + bytes(20) + data[middle + 20 :]


# What becomes of the picture's file, what is wrong with it, and what stock
# makes of it when it comes to read it: an error, or 'read', silently.
FAULTS = {
    'missing': (None, 'does not exist', FileNotFoundError),
    'empty': (lambda p: b'', 'is empty', cv2.error),
    'truncated JPEG': (
        lambda p: encoded(p, '.jpg')[:1500],
        'is truncated, damaged or no image',
        AssertionError,
    ),
    'truncated PNG': (
        lambda p: encoded(p, '.png')[:-2],
        'is truncated, damaged or no image',
        AssertionError,
    ),
    'truncated WebP': (
        lambda p: encoded(p, '.webp')[:-2],
        'is truncated, damaged or no image',
        AssertionError,
    ),
    'no image': (
        lambda p: b'<html>404</html>',
        'is truncated, damaged or no image',
        AssertionError,
    ),
    '16 bits': (
        lambda p: encoded(p.astype(np.uint16) * 16, '.png'),
        'has more than 8 bits per channel',
        'read',
    ),
    '16 bits, TIFF': (
        lambda p: encoded(p[..., 0].astype(np.uint16) * 16, '.tiff'),
        'has more than 8 bits per channel',
        'read',
    ),
    'another size': (
        lambda p: encoded(p[:, :50], '.png'),
        'is 50x64 px, and 96x64 px in the JSON',
        'read',
    ),
}


def spoil(dirty, change, number=2):
    """Write the file of an image anew."""
    path = dirty.root / f'{number}.png'
    path.unlink()
    if change is not None:
        path.write_bytes(change(dirty.picture))
    return path


@pytest.mark.parametrize('name', FAULTS)
def test_an_image_that_cannot_be_read(dirty, name):
    change, message, of_stock = FAULTS[name]
    clean = dirty.targets(STOCK)
    message = f'boxes.json: 1 of 6 images .*{spoil(dirty, change)} {message}'
    # Training: left out, one warning, and the others are untouched.
    assert dirty.targets() == [clean[0], *clean[2:]]
    (warning,) = dirty.told
    assert re.search(f'{message}.*: left out$', warning)
    for kwargs in (
        dict(faults='stop'),
        dict(test_mode=True),
        dict(test_mode=True, faults='drop'),
    ):
        with pytest.raises(ValueError, match=message):
            dirty.build(**kwargs)
    stock = dirty.build(STOCK)
    if of_stock == 'read':
        assert stock[1]['inputs'].shape[0] == 3
    else:
        with pytest.raises(of_stock):
            stock[1]


def test_no_image_can_be_read(dirty):
    for number in range(1, 7):
        spoil(dirty, None, number)
    with pytest.raises(ValueError, match='6 of 6 .* exist and 1 more$'):
        dirty.build()


def test_images_that_are_filtered_out_need_not_be_there(dirty):
    spoil(dirty, None, 5)
    kept = dirty.build(filter_cfg=dict(filter_empty_gt=True))
    assert len(kept) == 4
    assert not dirty.told


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.tiff', '.webp'])
def test_whole_files(dirty, suffix):
    """Bytes after the end, as cameras write them, do no harm."""
    path = dirty.root / f'whole{suffix}'
    data = encoded(dirty.picture, suffix)
    for trail in (b'', b'\0' * 9, b'trailer'):
        path.write_bytes(data + trail)
        assert image_fault(str(path), SIZE) is None
    assert 'px in the JSON' in image_fault(str(path), (64, 96))


def test_16_bits_that_a_pipeline_keeps(dirty):
    path = spoil(dirty, FAULTS['16 bits'][0])
    assert image_fault(str(path), SIZE, 'unchanged') is None
    load, *others = dirty.build().pipeline.transforms
    load = dict(type='LoadImageFromFile', color_type='unchanged')
    assert len(dirty.build(pipeline=[load, *others])) == 6


@pytest.mark.parametrize('suffix', ['JPEG', 'PNG'])
@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_sizes_are_those_after_turning(dirty, suffix, orientation):
    """MMCV turns an image as EXIF says; the boxes have to be of that."""
    path = str(dirty.root / f'turned.{suffix}')
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(dirty.picture).save(path, exif=exif)
    turned = SIZE[::-1] if orientation == 6 else SIZE
    assert image_fault(path, turned) is None
    assert image_fault(path, SIZE, 'color_ignore_orientation') is None
    if orientation == 6:
        assert (
            image_fault(path, SIZE) == 'is 64x96 px, and 96x64 px in the JSON'
        )


def test_an_image_that_fails_when_it_is_decoded(dirty):
    """Header and end are right: another takes its place."""
    path = spoil(dirty, lambda p: damaged(encoded(p, '.png')))
    dataset = dirty.build()
    assert len(dataset) == 6
    np.random.seed(0)
    for _ in range(2):
        assert dataset[1]['data_samples'].img_path != str(path)
    (warning,) = dirty.told  # once
    assert warning.startswith(f'{path} is truncated, damaged')
    for kwargs in (dict(test_mode=True), dict(faults='stop')):
        with pytest.raises(ValueError, match=f'{path} is truncated'):
            dirty.build(**kwargs)[1]
    with pytest.raises(AssertionError, match='failed to load image'):
        dirty.build(STOCK)[1]


def test_it_does_not_look_for_another_forever(dirty):
    for number in range(1, 7):
        spoil(dirty, lambda p: damaged(encoded(p, '.png')), number)
    dataset = dirty.build(max_refetch=20)
    with pytest.raises(Exception, match='valid image after 20'):
        dataset[0]
    assert 1 <= len(dirty.told) == len(set(dirty.told)) <= 6


def test_in_a_worker(dirty):
    path = spoil(dirty, lambda p: damaged(encoded(p, '.png')))
    loader = DataLoader(
        dirty.build(), num_workers=1, collate_fn=pseudo_collate
    )
    names = [batch['data_samples'][0].img_path for batch in loader]
    assert len(names) == 6
    assert str(path) not in names


def test_an_error_of_the_pipeline_stays_one(dirty):
    def fail(results):
        raise RuntimeError('no fault of the image')

    dataset = dirty.build(pipeline=[fail])
    with pytest.raises(RuntimeError, match='no fault of the image'):
        dataset[0]


def test_a_test_pipeline_that_gives_nothing(dirty):
    dataset = dirty.build(pipeline=[lambda results: None], test_mode=True)
    with pytest.raises(ValueError, match='gives nothing for .*1.png'):
        dataset[0]
