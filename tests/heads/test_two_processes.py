"""Two processes that train together, joined by gloo.

Stock heads divide their losses by the number of positive priors of a process
(RPN: of sampled ones, YOLOv3: of all), and DDP takes the mean of the
gradients. So two processes do what one does with both of their images

- where the processes have equal numbers of them: here by equal boxes in other
  images;
- where they draw the same jitter: from the same seed, as MMEngine gives them;
- where the sampler of RPN has nothing to choose: here it takes all priors;
- without batch normalisation, which sees the images of a process.

Where losses are sums, as in MMDetection's config of YOLOv3, two processes
need twice the learning rate, too.
"""

import copy
import multiprocessing
from datetime import timedelta

import pytest
import torch
from families import HEADS, coder_of
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

import mmdet_metaanchor  # noqa: F401 (registers the heads)

NAMES = ('Retina', 'RPN', 'SSD', 'YOLOV3')
SIZE = (96, 128)  # (height, width) of the images, px
STEPS, RATE = 20, 1e-2
IOU = dict(
    type='MaxIoUAssigner',
    pos_iou_thr=0.5,
    neg_iou_thr=0.4,
    min_pos_iou=0,
    ignore_iof_thr=0.5,
)
PLAIN = dict(assigner=IOU, allowed_border=-1, pos_weight=-1, debug=False)
TRAIN_CFGS = dict(
    Retina=PLAIN,
    RPN=dict(
        PLAIN,
        sampler=dict(
            type='RandomSampler',
            num=10**6,
            pos_fraction=0.5,
            neg_pos_ub=-1,
            add_gt_as_proposals=False,
        ),
    ),
    SSD=dict(PLAIN, smoothl1_beta=1.0, neg_pos_ratio=3),
    YOLOV3=dict(
        assigner=dict(
            type='GridAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0,
        )
    ),
)
# What the images of both processes hold, by case: boxes, a crowd, or nothing.
CASES = {
    'none on the first': ('nothing', 'boxes'),
    'none on the second': ('boxes', 'nothing'),
    'none on both': ('nothing', 'nothing'),
    'a crowd on the first': ('crowd', 'boxes'),
    'crowds on both': ('crowd', 'crowd'),
}


class Detector(BaseModel):
    """A head on features of the size that it wants."""

    def __init__(self, name, stock):
        super().__init__()
        arguments, anchors, sizes, channels = copy.deepcopy(HEADS[name])
        kind = f'Meta{name}Head'
        if stock:
            kind = 'RepairedSSDHead' if name == 'SSD' else f'{name}Head'
        else:
            anchors = dict(
                type='MetaAnchorGenerator', priors=anchors, jitter=0.5
            )
        if name == 'YOLOV3':
            arguments['norm_cfg'] = dict(type='GN', num_groups=2)
        self.head = MODELS.build(
            dict(
                type=kind,
                anchor_generator=anchors,
                train_cfg=copy.deepcopy(TRAIN_CFGS[name]),
                **coder_of(name),
                **arguments,
            )
        )
        self.head.init_weights()
        self.layers = nn.ModuleList(nn.Conv2d(3, c, 1) for c in channels)
        self.sizes = sizes

    def forward(self, inputs, data_samples, mode):
        feats = [
            layer(nn.functional.adaptive_avg_pool2d(inputs, size))
            for layer, size in zip(self.layers, self.sizes, strict=True)
        ]
        return self.head.loss(feats, data_samples)


def batch(step, images, holds='boxes'):
    """The images of these numbers, all with the boxes of the step."""
    random = torch.Generator().manual_seed(step)
    low = torch.rand(4, 2, generator=random) * 60
    boxes = torch.cat([low, low + 10 + 25 * low.flip(0) / 60], dim=1)
    labels = torch.arange(4) % 3
    inputs, samples = [], []
    for image in images:
        random.manual_seed(100 * step + image)
        inputs.append(torch.randn(3, *SIZE, generator=random))
        meta = dict(img_shape=SIZE, pad_shape=SIZE, batch_input_shape=SIZE)
        sample = DetDataSample(metainfo=dict(meta, scale_factor=(1, 1)))
        number = 4 if holds == 'boxes' else 0
        sample.gt_instances = InstanceData(
            bboxes=boxes[:number], labels=labels[:number]
        )
        sample.ignored_instances = InstanceData(
            bboxes=boxes[: 4 if holds == 'crowd' else 0],
            labels=labels[: 4 if holds == 'crowd' else 0],
        )
        samples.append(sample)
    return dict(inputs=torch.stack(inputs), data_samples=samples)


def train(name, wrap, images, steps, holds='boxes', stock=False):
    """Keys of the losses, and weights at the end."""
    torch.manual_seed(0)
    model = Detector(name, stock).train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=RATE))
    model = wrap(model)
    keys = set()
    for step in range(steps):
        torch.manual_seed(step)  # of the jitter
        log = model.train_step(batch(step, images, holds), wrapper)
        assert all(value.isfinite() for value in log.values())
        keys |= log.keys()
    state = getattr(model, 'module', model).state_dict()
    return sorted(keys), {key: value.clone() for key, value in state.items()}


def work(rank, file, answers, stock=False):
    """All that one of the two processes does."""
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    torch.distributed.init_process_group(
        'gloo',
        init_method=f'file://{file}',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    found = {}
    for name in NAMES:
        found[name] = train(
            name, MMDistributedDataParallel, [rank], STEPS,
            stock=stock,
        )  # fmt: skip
        for case, holds in CASES.items():
            found[name, case] = train(
                name, MMDistributedDataParallel, [rank], 2,
                holds[rank], stock,
            )  # fmt: skip
    torch.save(found, f'{answers}{rank}')
    torch.distributed.destroy_process_group()


def both(folder, **kwargs):
    """What the two of them found."""
    spawn = multiprocessing.get_context('spawn')
    pair = [
        spawn.Process(
            target=work, args=(rank, folder / 'file', folder / 'found'),
            kwargs=kwargs,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in pair:
        process.start()
    for process in pair:
        process.join(180)
        process.kill()
    assert [process.exitcode for process in pair] == [0, 0]
    return [torch.load(folder / f'found{rank}') for rank in range(2)]


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    return both(tmp_path_factory.mktemp('two'))


@pytest.mark.parametrize('name', NAMES)
def test_as_one_with_both_images(found, name):
    keys, wanted = train(name, nn.Identity(), [0, 1], STEPS)
    before = Detector(name, stock=False).state_dict()
    for seen, state in (process[name] for process in found):
        assert seen == keys
        for key, value in wanted.items():
            torch.testing.assert_close(state[key], value, rtol=0, atol=1e-5)
    # They have learnt, by more than what the law allows.
    assert any(
        'residual_layer' in key and (value - before[key]).abs().max() > 1e-4
        for key, value in wanted.items()
    )


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('name', NAMES)
def test_batches_without_ground_truth(found, name, case):
    """No process waits for the other, and both have the same weights."""
    (keys, state), (others, same) = (process[name, case] for process in found)
    assert keys == others == found[0][name][0]
    for key, value in state.items():
        assert value.isfinite().all() or key.endswith('shape_range')
        assert torch.equal(value, same[key]), key
