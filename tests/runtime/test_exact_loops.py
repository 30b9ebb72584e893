"""A training that was interrupted ends as if it had not been."""

import copy
import pickle
import random
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdet_metaanchor.runtime.exact_loops import (
    Draw,
    ExactMixin,
    SeededDataset,
    SeededSampler,
    seed_generators,
    use_exact_loop,
)
from mmdet_metaanchor.runtime.interruptions import (
    go_on,
    survive_interruptions,
)

ROOT = Path(__file__).resolve().parents[2]
MODELS = {
    'retinanet': 'digits/meta-retinanet_r18-w32_digits.py',
    'ssd': 'meta_ssd/meta-ssd_r18-w32_digits.py',
    'yolov3': 'meta_yolov3/meta-yolov3_r18-w32_digits.py',
    # It samples anchors and proposals at random.
    'faster-rcnn': 'meta_faster_rcnn/meta-faster-rcnn_r18-w32_digits.py',
}


@pytest.fixture
def training(tiny, load_config):
    """Config of 2 epochs of 2 batches, a checkpoint after each iteration."""

    def training(name, workers=0):
        cfg = copy.deepcopy(tiny)
        cfg.model = load_config(MODELS[name]).model
        prior_head = cfg.model.get('rpn_head') or cfg.model.bbox_head
        prior_head.anchor_generator.jitter = 0.5
        scale = dict(type='Resize', scale=(96, 64), keep_ratio=True)
        pipeline = cfg.train_dataloader.dataset.pipeline
        pipeline[2] = scale
        pipeline.insert(3, dict(type='PhotoMetricDistortion'))
        cfg.train_dataloader.update(
            num_workers=workers, persistent_workers=workers > 0
        )
        cfg.train_cfg.update(max_epochs=2, val_begin=9)
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', by_epoch=False, interval=1
        )
        return cfg

    return training


def train(cfg, name, exact=True, checkpoint=None):
    """Weights at the end, and where they and all checkpoints are."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = f'{cfg.work_dir}/{name}'
    cfg.visualizer.name = cfg.experiment_name = cfg.work_dir
    if exact:
        survive_interruptions(cfg)
    if checkpoint is not None:
        go_on(cfg, str(checkpoint))
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model.state_dict(), Path(cfg.work_dir)


def assert_equal(one, other, atol=0.0):
    """A buffer may be NaN, in both of them."""
    torch.testing.assert_close(one, other, rtol=0, atol=atol, equal_nan=True)


# iter_2 is the end of an epoch, iter_1 its middle. No seed: one is drawn.
@pytest.mark.parametrize(
    ('name', 'iteration', 'workers'),
    [
        ('retinanet', 1, 2),
        ('retinanet', 2, 0),
        ('ssd', 1, 0),
        ('yolov3', 1, 0),
        ('faster-rcnn', 1, 0),
    ],
)
def test_resumed_is_uninterrupted(training, name, iteration, workers):
    cfg = training(name, workers)
    whole, folder = train(cfg, 'whole')
    checkpoint = folder / f'iter_{iteration}.pth'
    torch.manual_seed(77)  # another process has other states
    resumed, _ = train(cfg, 'resumed', checkpoint=checkpoint)
    assert_equal(whole, resumed)


# Without a batch sampler, MMEngine has the sampler skip what was trained.
@pytest.mark.parametrize('batches', ['AspectRatioBatchSampler', None])
def test_iterations_too(training, batches):
    cfg = training('retinanet')
    cfg.train_cfg = dict(by_epoch=False, max_iters=3, val_begin=9)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    cfg.train_dataloader.batch_sampler = batches and dict(type=batches)
    cfg.randomness = dict(seed=3)
    whole, folder = train(cfg, 'whole')
    resumed, _ = train(cfg, 'resumed', checkpoint=folder / 'iter_1.pth')
    assert_equal(whole, resumed)


class Images100:
    def __len__(self):
        return 100


@pytest.mark.skipif(
    not hasattr(InfiniteSampler, 'skip'), reason='MMEngine has no skip'
)
def test_images_that_were_trained_are_not_read_again():
    """What comes after 30 images is what comes when 30 are skipped."""
    one, other = (
        SeededSampler(Images100(), dict(type='InfiniteSampler'), seed=3)
        for _ in range(2)
    )
    whole = [(int(d), d.numbers) for d in islice(one, 40)]
    other.skip(30)
    assert [(int(d), d.numbers) for d in islice(other, 10)] == whole[30:]


def test_a_sampler_that_cannot_skip():
    order = SeededSampler(Images100(), dict(type='DefaultSampler'), seed=3)
    assert not hasattr(order, 'skip')


class Steps(Hook):
    """Keeps what hooks are told of the place in the epoch."""

    def __init__(self):
        self.kept = []

    def after_train_iter(self, runner, batch_idx, **kwargs):
        self.kept.append((runner.epoch, batch_idx))


def test_steps_are_counted_from_the_beginning_of_the_epoch(training):
    """iter_1 is the middle of an epoch of 2 batches."""
    cfg = training('retinanet')
    _, folder = train(cfg, 'whole')
    go_on(cfg, str(folder / 'iter_1.pth'))
    survive_interruptions(cfg)
    runner = Runner.from_cfg(cfg)
    steps = Steps()
    runner.register_hook(steps)
    runner.train()
    assert steps.kept[:2] == [(0, 1), (1, 0)]


def test_mmengine_alone_ends_elsewhere(training):
    """What the loops are for; also, that the tests above can fail."""
    cfg = training('retinanet')
    cfg.randomness = dict(seed=3)
    whole, folder = train(cfg, 'whole', exact=False)
    resumed, _ = train(cfg, 'resumed', False, folder / 'iter_2.pth')
    with pytest.raises(AssertionError, match='not close'):
        assert_equal(whole, resumed, atol=1e-5)


def test_another_batch_size_in_the_middle_of_an_epoch(training):
    cfg = training('retinanet')
    _, folder = train(cfg, 'whole')
    cfg.train_dataloader.batch_size = 1
    with pytest.raises(ValueError, match='of 2 batches, and now it has 4'):
        train(cfg, 'resumed', checkpoint=folder / 'iter_1.pth')
    # From the end of an epoch it can be: an epoch of 2, and one of 4.
    _, folder = train(cfg, 'other', checkpoint=folder / 'iter_2.pth')
    assert (folder / 'iter_6.pth').is_file()


def test_other_loops_stay(tiny):
    for before, after in (
        (dict(by_epoch=True), dict(type='ExactEpochBasedTrainLoop')),
        (dict(), dict(type='ExactEpochBasedTrainLoop')),
        (dict(by_epoch=False), dict(type='ExactIterBasedTrainLoop')),
        # As of configs in Python style, and with the scope.
        (
            dict(type=EpochBasedTrainLoop, max_epochs=2),
            dict(type='ExactEpochBasedTrainLoop', max_epochs=2),
        ),
        (
            dict(type='mmengine.IterBasedTrainLoop'),
            dict(type='ExactIterBasedTrainLoop'),
        ),
        (dict(type='OwnLoop'), dict(type='OwnLoop')),
    ):
        tiny.train_cfg = before
        use_exact_loop(tiny)
        assert tiny.train_cfg == after


class Images(torch.utils.data.Dataset):
    """Ten images, each with three draws of three generators."""

    metainfo = dict(classes=('a',))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        assert type(index) is int
        return random.random(), np.random.rand(), torch.rand(1).item()


def sampler(**kwargs):
    inner = dict(type='DefaultSampler', shuffle=True)
    return SeededSampler(Images(), inner, seed=1, **kwargs)


def seeded(images):
    dataset = SeededDataset.__new__(SeededDataset)
    vars(dataset)['dataset'] = images
    return dataset


def test_an_image_is_augmented_by_its_place_and_epoch():
    data, order = seeded(Images()), sampler()
    first = [data[draw] for draw in order]
    assert first == [data[draw] for draw in order]  # whatever was before
    assert len({value for draws in first for value in draws}) == 30
    order.set_epoch(1)
    assert not set(first) & {data[draw] for draw in order}


def test_two_processes_augment_as_one(monkeypatch):
    one = [(int(d), d.numbers) for d in sampler()]
    shares = []
    for rank in range(2):
        for module in (
            'mmdet_metaanchor.runtime.exact_loops',
            'mmengine.dataset.sampler',
        ):
            monkeypatch.setattr(
                f'{module}.get_dist_info', lambda r=rank: (r, 2)
            )
        shares.append([(int(d), d.numbers) for d in sampler()])
    assert [d for pair in zip(*shares, strict=True) for d in pair] == one


def test_hooks_see_the_data_set_itself():
    images = Images()
    data = pickle.loads(pickle.dumps(seeded(images)))
    assert data.metainfo == images.metainfo
    data.pipeline = 'other'  # as mmdet's PipelineSwitchHook does
    assert data.dataset.pipeline == 'other'
    with pytest.raises(AttributeError, match='none'):
        data.none  # noqa: B018


def test_draws_cross_processes():
    draw = pickle.loads(pickle.dumps(Draw(4, (1, 2, 3))))
    assert draw == 4
    assert draw.numbers == (1, 2, 3)


def test_seeds_of_other_numbers_differ():
    seen = set()
    for numbers in ((0, 1), (1, 0), (0, 1, 0), (0, 2)):
        seed_generators(*numbers)
        seen.add(random.random())
    # SeedSequence takes (0, 1) and (0, 1, 0) for the same entropy.
    assert len(seen) == 3


def test_weights_alone_cannot_be_gone_on_from(tiny, checkpoint):
    with pytest.raises(ValueError, match='no state of a training'):
        go_on(tiny, checkpoint)


def test_checkpoints_are_stored_as_the_config_says(tiny):
    hook = dict(type='CheckpointHook', out_dir='s3://bucket')
    tiny.default_hooks.checkpoint = hook
    survive_interruptions(tiny)
    assert tiny.default_hooks.checkpoint == hook


def test_checkpoints_are_whole_and_never_none(tiny):
    """MMEngine removes the only one before it writes the next."""
    whole = dict(type='CheckpointHook', backend_args=dict(backend='whole'))
    tiny.default_hooks = None
    survive_interruptions(tiny)
    assert tiny.default_hooks.checkpoint == whole
    for before, after in ((1, 2), (3, 3)):
        hook = dict(type='CheckpointHook', max_keep_ckpts=before)
        tiny.default_hooks = dict(checkpoint=hook)
        survive_interruptions(tiny)
        hook = tiny.default_hooks.checkpoint
        assert hook == dict(whole, max_keep_ckpts=after)


def test_processes_of_other_seeds_share_one_order(training):
    """MMEngine gives samplers no seed then."""

    class Loop:
        def __init__(self, runner, dataloader):
            self.sampler = dataloader['sampler']

    for rank in range(2):
        runner = SimpleNamespace(
            seed=3 + rank, rank=rank, _randomness_cfg=dict(diff_rank_seed=True)
        )
        loop = type('Exact', (ExactMixin, Loop), {})(
            runner, dict(dataset=None, sampler=None)
        )
        assert loop.sampler['seed'] == 3
    cfg = training('retinanet')
    cfg.randomness = dict(seed=3, diff_rank_seed=True)
    whole, folder = train(cfg, 'whole')
    resumed, _ = train(cfg, 'resumed', checkpoint=folder / 'iter_1.pth')
    assert_equal(whole, resumed)
