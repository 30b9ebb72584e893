"""Hand-sized examples of the matching rules, and where stock goes wrong."""

import pytest
import torch
from mmdet.models.task_modules.assigners import GridAssigner, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmdet_metaanchor.published.assigners import (
    FasterRCNNAssigner,
    SSDAssigner,
    YOLOv3Assigner,
)

OURS = [FasterRCNNAssigner, SSDAssigner, YOLOv3Assigner]


def assign(assigner, priors, boxes, ignored=None, **kwargs):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return assigner.assign(
        InstanceData(
            priors=torch.as_tensor(priors, dtype=torch.float32).reshape(-1, 4),
            **kwargs,
        ),
        InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)) + 10),
        None
        if ignored is None
        else InstanceData(bboxes=torch.tensor(ignored, dtype=torch.float32)),
    )


def gt_inds(*args, **kwargs):
    return assign(*args, **kwargs).gt_inds.tolist()


def row(*lefts, width=10):
    """Boxes of height 10 in a row, by their left sides."""
    return [[x, 0, x + width, 10] for x in lefts]


class TestFasterRCNN:
    def test_best_and_high_are_positive_low_is_negative(self):
        # IoU of boxes 10 wide, d apart, is (10 - d) / (10 + d):
        # d = 1: 9/11 = 0.82, 2: 8/12 = 0.67, 5: 5/15 = 0.33, 6: 4/16 = 0.25
        priors = row(1, 2, 5, 6)
        assert gt_inds(FasterRCNNAssigner(), priors, row(0)) == [1, -1, -1, 0]

    def test_all_that_tie_for_best_are_positive(self):
        # 5 to the left and 5 to the right: 5/15 each, below 0.7 but best
        priors = row(-5, 5, 6)
        assert gt_inds(FasterRCNNAssigner(), priors, row(0)) == [1, 1, 0]

    def test_best_of_one_ranks_before_high_with_another(self):
        # the only prior near ground truth 1: 8/12, below 0.7, is its best;
        # with ground truth 2 the prior has 9/11 > 0.7, but that one has
        # a better prior, of IoU 1
        priors = row(2, 3)
        boxes = row(0, 3)
        assert gt_inds(FasterRCNNAssigner(), priors, boxes) == [1, 2]

    def test_prior_best_for_two_goes_to_the_higher_iou(self):
        # 9/11 with ground truth 1, 8/12 with ground truth 2: stock takes
        # the one listed last
        priors, boxes = row(0), row(1, 2)
        assert gt_inds(FasterRCNNAssigner(), priors, boxes) == [1]
        assert gt_inds(FasterRCNNAssigner(), priors, boxes[::-1]) == [2]
        assert gt_inds(MaxIoUAssigner(0.7, 0.3), priors, boxes) == [2]

    def test_threshold_itself_is_not_passed(self):
        # 9/18 = 0.5, and ground truth 1 has a better prior
        priors = [[0, 0, 10, 10], [0, 0, 18, 10]]
        boxes = [[0, 0, 9, 10]]
        assigner = FasterRCNNAssigner(0.5, 0.4)
        assert gt_inds(assigner, priors, boxes) == [1, -1]

    @pytest.mark.parametrize(
        'lost', [[90.0, 90, 99, 99], [3, 3, 3, 8], [3, 3, 3, 3], [8, 8, 2, 2]]
    )
    def test_stock_makes_background_positive_for_a_lost_ground_truth(
        self, lost
    ):
        # The ground truth overlaps no prior (or has no area, or is inside
        # out): all its IoUs are 0, so for stock all priors of IoU 0 tie.
        priors = row(0, 20, 40)
        boxes = [*row(0), lost]
        assert gt_inds(FasterRCNNAssigner(), priors, boxes) == [1, 0, 0]
        stock = gt_inds(MaxIoUAssigner(0.7, 0.3, min_pos_iou=0), priors, boxes)
        assert stock != [1, 0, 0]

    @pytest.mark.parametrize('pair', [(0.3, 0.7), (0.7, 0.0), (1.5, 0.3)])
    def test_refuses_thresholds(self, pair):
        with pytest.raises(ValueError, match=f'neg_iou_thr={pair[1]}'):
            FasterRCNNAssigner(*pair)


class TestSSD:
    def test_no_ground_truth_loses_its_only_prior(self):
        # IoU with ground truths 1 and 2: prior 0: 1 and 9/11; prior 1: 4/16
        # and 5/15. Prior 0 goes to 1 (highest pair); 2 takes what is left.
        priors, boxes = row(0, 6), row(0, 1)
        assert gt_inds(SSDAssigner(), priors, boxes) == [1, 2]
        # Stock: prior 0 is best for both and goes to the last.
        stock = gt_inds(MaxIoUAssigner(0.5, 0.5, min_pos_iou=0), priors, boxes)
        assert stock == [2, 0]

    def test_highest_pair_first(self):
        # ground truth 1 is listed first, but 2 fits prior 0 better (1 > 9/11)
        assert gt_inds(SSDAssigner(), row(0, 4), row(1, 0)) == [2, 1]

    def test_chain_of_displaced_ground_truths(self):
        # identical ground truths: the first takes the best prior, the next
        # one the second best, though 4/16 and 3/17 are far below 0.5
        priors, boxes = row(0, 6, 7, 30), row(0, 0, 0)
        assert gt_inds(SSDAssigner(), priors, boxes) == [1, 2, 3, 0]

    def test_others_above_the_threshold_join(self):
        # 8/12 = 0.67 joins, 5/15 does not, and nothing is ignored
        assert gt_inds(SSDAssigner(), row(0, 2, 5), row(0)) == [1, 1, 0]

    def test_join_the_ground_truth_of_highest_iou(self):
        # prior 2 at 2: 9/11 with ground truth 2 (at 3), 8/12 with 1 (at 0)
        assert gt_inds(SSDAssigner(), row(0, 3, 2), row(0, 3)) == [1, 2, 2]

    def test_more_ground_truths_than_priors(self):
        assert gt_inds(SSDAssigner(), row(0), row(4, 1, 2)) == [2]

    @pytest.mark.parametrize('threshold', [0, -1, 1.5])
    def test_refuses_threshold(self, threshold):
        with pytest.raises(ValueError, match=str(threshold)):
            SSDAssigner(threshold)


def cells(*shapes, stride=16, size=2):
    """Priors of a grid of size x size cells."""
    return [
        [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        for y in (stride * (i + 0.5) for i in range(size))
        for x in (stride * (i + 0.5) for i in range(size))
        for w, h in shapes
    ]


class TestYOLOv3:
    def test_own_cell_and_best_shape(self):
        # Centre (20, 10): the cell right above. 16 wide, 8 high: IoU of
        # shapes with (16, 8) is 1, with (8, 16) 64/192.
        priors = cells((8, 16), (16, 8))
        box = [[12, 6, 28, 14]]
        expected = [0, 0, 0, 1, 0, 0, 0, 0]
        assert gt_inds(YOLOv3Assigner(), priors, box) == expected

    def test_shape_decides_before_place(self):
        # (12, 12) is at stride 16, (40, 40) at 32: the box is 36 x 36, so
        # it takes the large one, (36/40)^2 = 0.81 against (12/36)^2 = 0.11.
        priors = cells((12, 12)) + cells((40, 40), stride=32, size=1)
        box = [[0, 0, 36, 36]]
        assert gt_inds(YOLOv3Assigner(), priors, box) == [0, 0, 0, 0, 1]

    def test_others_that_fit_where_they_are_are_ignored(self):
        # The box lies on the prior of cell 0 but for 6 px to the right:
        # 10/22 = 0.45 < 0.5 with both cells. 4 px: 12/20 = 0.6 with cell 0,
        # its own, and 4/28 with cell 1. 8 px is the border, centre at 16:
        # the right cell's, and 8/24 with both.
        priors = cells((16, 16))
        for shift, threshold, expected in [
            (6, 0.5, [1, 0]),
            (4, 0.5, [1, 0]),
            (6, 0.2, [1, -1]),  # cell 1: 6/26 = 0.23
            (8, 0.3, [-1, 1]),
        ]:
            box = [[shift, 0, 16 + shift, 16]]
            assigner = YOLOv3Assigner(threshold)
            assert gt_inds(assigner, priors, box) == [*expected, 0, 0]

    def test_two_in_a_cell_with_the_same_best_shape(self):
        # Both centres in cell 0. IoU of shapes with (16, 16): 14 * 14 / 256
        # = 0.77 and 15 * 15 / 256 = 0.88, which wins whatever the order.
        priors = cells((16, 16), (4, 4))
        boxes = [[1, 1, 15, 15], [1, 1, 16, 16]]
        assert gt_inds(YOLOv3Assigner(), priors, boxes)[:2] == [2, 0]
        assert gt_inds(YOLOv3Assigner(), priors, boxes[::-1])[:2] == [1, 0]
        # equal ones: the first
        same = [boxes[0], boxes[0]]
        assert gt_inds(YOLOv3Assigner(), priors, same)[:2] == [1, 0]

    def test_two_in_a_cell_with_different_best_shapes(self):
        priors = cells((16, 16), (4, 4))
        boxes = [[6, 6, 10, 10], [1, 1, 15, 15]]
        assert gt_inds(YOLOv3Assigner(), priors, boxes)[:2] == [2, 1]

    def test_stock_matches_in_the_cell_of_another_ground_truth(self):
        # Ground truth 1 is centred in cell 1, at (17, 8), and 2 in cell 0,
        # at (8, 8). 2 is small and inside of the priors of both: 16/2304
        # each. Stock asks for the best IoU over the cells of both ground
        # truths, finds a tie and takes both, so 1 is left with none.
        priors = cells((48, 48))
        boxes = [[-7, -16, 41, 32], [6, 6, 10, 10]]
        flags = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)
        ours = gt_inds(
            YOLOv3Assigner(), priors, boxes, responsible_flags=flags
        )
        assert ours == [2, 1, 0, 0]
        stock = GridAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5)
        stock = gt_inds(stock, priors, boxes, responsible_flags=flags)
        assert stock == [2, 2, 0, 0]

    @pytest.mark.parametrize('threshold', [0, -1, 1.5])
    def test_refuses_threshold(self, threshold):
        with pytest.raises(ValueError, match=str(threshold)):
            YOLOv3Assigner(threshold)


@pytest.mark.parametrize('cls', OURS)
class TestAll:
    priors = cells((16, 16), (8, 24))
    boxes = [[0.0, 0, 16, 16], [20, 4, 28, 28]]

    def test_from_config(self, cls):
        assert isinstance(TASK_UTILS.build(dict(type=cls.__name__)), cls)

    def test_no_ground_truth(self, cls):
        result = assign(cls(), self.priors, [])
        assert result.num_gts == 0
        assert (result.gt_inds == 0).all()
        assert (result.labels == -1).all()
        assert (result.max_overlaps == 0).all()

    def test_no_priors(self, cls):
        result = assign(cls(), [], self.boxes)
        assert result.num_gts == 2
        assert result.gt_inds.shape == result.labels.shape == (0,)

    def test_priors_in_an_ignored_region_are_ignored(self, cls):
        # the region covers the upper right cell, whose priors overlap it by
        # 16 * 16 / 16 * 16 = 1 and 8 * 20 / 8 * 24 = 0.83
        region = [[16.0, 0, 32, 20]]
        assigner = cls(ignore_iof_thr=0.8)
        labels = gt_inds(assigner, self.priors, self.boxes, region)
        assert labels[2:4] == [-1, -1]
        assert labels[0] == 1
        assert gt_inds(assigner, self.priors, [], region)[2:4] == [-1, -1]
        # 160 / 320 = 0.5 of the region is the most that a prior covers but
        # the first, 256 / 320 = 0.8, which is not more than 0.8
        assigner = cls(ignore_iof_thr=0.6, ignore_wrt_candidates=False)
        labels = gt_inds(assigner, self.priors, [], region)
        assert labels == [0, 0, -1, 0, 0, 0, 0, 0]

    def test_regions_are_not_ignored_by_default(self, cls):
        region = [[0.0, 0, 32, 32]]
        labels = gt_inds(cls(), self.priors, self.boxes)
        assert gt_inds(cls(), self.priors, self.boxes, region) == labels

    @pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
    def test_other_precisions(self, cls, dtype):
        expected = gt_inds(cls(), self.priors, self.boxes)
        result = cls().assign(
            InstanceData(priors=torch.tensor(self.priors, dtype=dtype)),
            InstanceData(
                bboxes=torch.tensor(self.boxes, dtype=dtype),
                labels=torch.arange(2),
            ),
        )
        assert result.gt_inds.tolist() == expected

    def test_box_types(self, cls):
        expected = gt_inds(cls(), self.priors, self.boxes)
        result = cls().assign(
            InstanceData(priors=HorizontalBoxes(self.priors)),
            InstanceData(
                bboxes=HorizontalBoxes(self.boxes), labels=torch.arange(2)
            ),
        )
        assert result.gt_inds.tolist() == expected

    @pytest.mark.parametrize('value', [float('nan'), 7, -2])
    def test_refuses_shares_to_ignore(self, cls, value):
        with pytest.raises(ValueError, match=f'ignore_iof_thr.*{value}'):
            cls(ignore_iof_thr=value)

    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_refuses_boxes_that_are_not_finite(self, cls, value):
        with pytest.raises(ValueError, match=f'ground truth.*{value}'):
            assign(cls(), self.priors, [[0, 0, value, 4]])
        with pytest.raises(ValueError, match=f'prior.*{value}'):
            assign(cls(), [[0, 0, value, 4]], self.boxes)

    def test_inputs_are_not_changed(self, cls):
        priors, boxes = torch.tensor(self.priors), torch.tensor(self.boxes)
        copies = priors.clone(), boxes.clone()
        assign(cls(), priors, boxes)
        assert torch.equal(priors, copies[0])
        assert torch.equal(boxes, copies[1])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
    def test_gpu(self, cls):
        expected = gt_inds(cls(), self.priors, self.boxes)
        result = cls().assign(
            InstanceData(priors=torch.tensor(self.priors).cuda()),
            InstanceData(
                bboxes=torch.tensor(self.boxes).cuda(),
                labels=torch.arange(2).cuda(),
            ),
        )
        assert result.gt_inds.is_cuda
        assert result.gt_inds.tolist() == expected


def test_priors_of_16_bits():
    """At 1000 px sides of bfloat16 are off by 8, so that shapes tell nothing.

    Then the nearest prior is taken, and none of the points that fill a chunk.
    """
    generator = TASK_UTILS.build(
        dict(
            type='YOLOAnchorGenerator',
            strides=[8],
            base_sizes=[[(10, 13), (16, 30), (33, 23)]],
        )
    )
    (priors,) = generator.grid_priors(
        [(125, 125)], dtype=torch.bfloat16, device='cpu'
    )
    x, y = priors[-1, :2].tolist()  # where those points are
    box = torch.tensor([[x - 8, y - 8, x + 8, y + 8]])
    result = YOLOv3Assigner().assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=box, labels=torch.tensor([0])),
    )
    assert (result.gt_inds == 1).sum() == 1
