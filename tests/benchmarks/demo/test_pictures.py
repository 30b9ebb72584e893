"""The pictures of the demo: which boxes, where, and whole files only."""

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from benchmarks.demo import pictures
from benchmarks.demo.twins import Scalars
from benchmarks.demo.views import Sample, View
from mmdet_metaanchor.anchors.drawing import ANCHOR_COLOURS, DrawnBoxes

CORNERS = np.array([[10, 20, 50, 40], [60, 30, 90, 100], [5, 5, 25, 25.0]])
FOUND = DrawnBoxes(CORNERS, np.array([1, 0, 1]), np.array([0.9, 0.3, 0.31]))
TRUTH = DrawnBoxes(CORNERS[:2], np.array([1, 0]))
SAMPLE = Sample(
    'some.jpg', np.full((120, 160, 3), 128, np.uint8), TRUTH, ('cat', 'dog')
)
VIEW = View(3, [FOUND], CORNERS)
NOTHING = DrawnBoxes(*(field[:0] for field in FOUND))


@pytest.fixture
def saved(monkeypatch):
    """Figures that were saved, in the order in which they were."""
    figures = []
    savefig = Figure.savefig

    def keep(self, *args, **kwargs):
        figures.append(self)
        return savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, 'savefig', keep)
    return figures


def rectangles(axes):
    """Boxes (x1, y1, x2, y2) drawn on the axes."""
    boxes = [patch.get_bbox().extents.tolist() for patch in axes.patches]
    return sorted(boxes)


def texts(axes):
    return sorted(text.get_text() for text in axes.texts)


def scalars(losses, val):
    keys = ('loss', 'loss_cls', 'loss_bbox')
    return Scalars(
        {step: dict.fromkeys(keys, loss) for step, loss in losses.items()},
        {epoch: {} for epoch in val},
    )


def test_detections_beside_the_truth(tmp_path, saved):
    path = tmp_path / 'detections.png'
    view = View(3, [FOUND, NOTHING], CORNERS)
    pictures.draw_detections(path, [SAMPLE, SAMPLE], dict(A=view, B=view))
    height, width = cv2.imread(str(path)).shape[:2]
    assert 1000 < width <= 2000
    assert 0.4 * width < height < width  # 2 rows x 3 columns of 120 x 160
    truth, a, b, *_, last = saved[0].axes
    assert [x.get_title() for x in (truth, a, b)] == ['truth', 'A', 'B']
    assert rectangles(truth) == sorted(TRUTH.corners.tolist())
    assert texts(truth) == ['cat', 'dog']
    assert rectangles(a) == sorted(CORNERS[[0, 2]].tolist())
    assert texts(a) == ['dog 31%', 'dog 90%']
    assert rectangles(last) == []  # the second sample has none


def test_anchors_above_and_detections_below(tmp_path, saved):
    path = tmp_path / 'anchors.png'
    one = View(1, [FOUND], CORNERS[:1])
    pictures.draw_anchors(path, SAMPLE, {'1x1': one, 'many': VIEW})
    assert path.stat().st_size > 0
    above_one, above_many, below_one, below_many = saved[0].axes
    assert above_one.get_title() == '1x1: 1 anchor per cell'
    assert above_many.get_title() == 'many: 3 anchors per cell'
    assert rectangles(above_one) == CORNERS[:1].tolist()
    assert rectangles(above_many) == sorted(CORNERS.tolist())
    assert texts(below_one) == texts(below_many) == ['dog 31%', 'dog 90%']


def test_colour_of_an_anchor_says_its_form(tmp_path, saved):
    pictures.draw_anchors(tmp_path / 'a.png', SAMPLE, {'set': VIEW})
    drawn = [to_rgb(p.get_edgecolor()) for p in saved[0].axes[0].patches]
    wide, square, tall = map(to_rgb, ANCHOR_COLOURS.values())
    assert drawn == [wide, tall, square]  # 40 x 20, 30 x 70, 20 x 20 px


def test_curves_hold_the_logged_losses(tmp_path, saved):
    logs = dict(
        A=scalars({20: 3.0, 40: 2.0, 60: 1.0}, []),
        B=scalars(dict.fromkeys(range(20, 220, 20), 0.5), [10, 20]),
    )
    path = tmp_path / 'curves.png'
    pictures.draw_curves(path, logs)
    assert path.stat().st_size > 0
    raw, smooth, other, _ = saved[0].axes[0].lines
    assert raw.get_xydata().tolist() == [[20, 3], [40, 2], [60, 1]]
    assert smooth.get_xydata() == pytest.approx(np.array([[40, 2]]))
    assert len(other.get_xdata()) == 10
    assert saved[0].axes[0].get_ylim()[1] > 3  # the axes grow with the data
    never, twice = saved[0].axes[3].lines
    assert never.get_xydata().tolist() == []
    assert twice.get_xydata().tolist() == [[10, 0], [20, 0]]


def test_a_failed_drawing_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / 'anchors.png'
    path.write_bytes(b'old')

    def fail(self, part, **kwargs):
        part.write_bytes(b'half')
        raise MemoryError

    monkeypatch.setattr(Figure, 'savefig', fail)
    with pytest.raises(MemoryError):
        pictures.draw_anchors(path, SAMPLE, {'set': VIEW})
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]
