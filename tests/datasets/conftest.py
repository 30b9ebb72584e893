"""A small data set in COCO format to spoil, and two classes to read it."""

import copy
import json

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS

WIDTH, HEIGHT = 96, 64
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path')),
]


def annotation(number, image, category, box, **more):
    return dict(
        id=number,
        image_id=image,
        category_id=category,
        bbox=box,
        area=box[2] * box[3],
        iscrowd=0,
        **more,
    )


# Image 4 holds only a crowd, image 5 nothing, image 6 only a class that the
# detector does not know; a box of image 3 reaches over all its borders.
CLEAN = dict(
    images=[
        dict(id=i, file_name=f'{i}.png', width=WIDTH, height=HEIGHT)
        for i in range(1, 7)
    ],
    categories=[
        dict(id=7, name='odd'),
        dict(id=9, name='other'),
        dict(id=3, name='even'),
    ],
    annotations=[
        annotation(1, 1, 7, [10, 8, 24, 24]),
        annotation(2, 1, 3, [50.5, 10.25, 20, 30]),
        annotation(3, 2, 3, [5, 5, 30, 20]),
        annotation(4, 2, 3, [40, 5, 30, 20], ignore=1),
        annotation(5, 3, 7, [-20, -10, 200, 90]),
        dict(annotation(6, 4, 7, [0, 0, 60, 60]), iscrowd=1),
        annotation(7, 6, 9, [10, 10, 20, 20]),
    ],
)


class Dirty:
    """A folder with images and a JSON file; ``content`` is to be spoilt."""

    def __init__(self, root, told):
        self.root, self.told = root, told
        self.content = copy.deepcopy(CLEAN)
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        self.picture = cv2.GaussianBlur(noise, (0, 0), 3)
        for image in self.content['images']:
            cv2.imwrite(str(root / image['file_name']), self.picture)

    @property
    def annotations(self):
        return self.content['annotations']

    def add(self, **changes):
        """An annotation with the id 50, of image 1, at fault."""
        self.annotations.append(
            dict(annotation(50, 1, 3, [60, 30, 20, 20]), **changes)
        )

    def write(self, content=None):
        text = json.dumps(self.content if content is None else content)
        (self.root / 'boxes.json').write_text(text)

    def build(self, kind='CheckedCocoDataset', write=True, **kwargs):
        if write:
            self.write()
        return DATASETS.build(
            dict(
                dict(
                    type=kind,
                    data_root=str(self.root),
                    ann_file='boxes.json',
                    data_prefix=dict(img=''),
                    metainfo=dict(classes=('odd', 'even')),
                    pipeline=PIPELINE,
                    # Which collects garbage for half a second.
                    serialize_data=False,
                ),
                **kwargs,
            )
        )

    def targets(self, kind='CheckedCocoDataset', **kwargs):
        """What a data set says of every image, but for its place there."""
        dataset = self.build(kind, **kwargs)
        images = [dataset.get_data_info(i) for i in range(len(dataset))]
        for place, image in enumerate(images):
            assert image.pop('sample_idx') == place
        return images


@pytest.fixture
def dirty(tmp_path, monkeypatch):
    told = []
    for module in ('checked_coco', 'coco_faults'):
        monkeypatch.setattr(
            f'mmdet_metaanchor.datasets.{module}.print_log',
            lambda message, **_: told.append(message),
        )
    return Dirty(tmp_path, told)
