"""Training loops that go on as if they had not been interrupted.

MMEngine saves no state of a random generator. A training that it resumes draws
other augmentations, other jitter and other samples than the one that was
interrupted, and begins an epoch that was interrupted anew. Here every random
number follows from the seed, the epoch or iteration, and the place of the
image in the epoch, so that there is no state to save.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, Sampler

from .arguments import known_arguments
from .config_types import means

# In the checkpoint: where the epoch began that was interrupted.
EPOCH_BEGAN = 'epoch_began'


def seed_generators(*numbers: int) -> None:
    """Seed Python's, NumPy's and PyTorch's generators by some numbers.

    Args:
        *numbers (int): Not negative. Other numbers, or the same in another
            order, give another seed.
    """
    (seed,) = np.random.SeedSequence(numbers).generate_state(1).tolist()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Draw(int):
    """Index of an image, and the numbers that decide its augmentation."""

    def __new__(cls, index: int, numbers: tuple[int, ...]) -> 'Draw':
        """An int that remembers the numbers."""
        draw = super().__new__(cls, index)
        draw.numbers = numbers
        return draw

    def __reduce__(self) -> tuple:
        return Draw, (int(self), self.numbers)


@DATA_SAMPLERS.register_module()
@known_arguments
class SeededSampler(Sampler):
    """Another sampler's images, each with the numbers that seed it.

    The numbers are the seed, the epoch and the place in the epoch, counted
    over all processes: n processes augment an image as one would.

    Args:
        dataset (Dataset): The images.
        sampler (dict): Config of the sampler that has their order.
        seed (int): Of the training.
    """

    def __init__(self, dataset: Dataset, sampler: dict, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0
        self._first = 0
        self.sampler = DATA_SAMPLERS.build(
            sampler, default_args=dict(dataset=dataset, seed=seed)
        )

    def __iter__(self) -> Iterator[Draw]:
        rank, processes = get_dist_info()
        for count, index in enumerate(self.sampler, self._first):
            place = count * processes + rank
            yield Draw(index, (self.seed, self.epoch, place))

    def __len__(self) -> int:
        return len(self.sampler)

    @property
    def skip(self) -> Callable:
        """Begins later, by a number of images of this process.

        It is there where the other sampler has it: MMEngine asks for it when
        it resumes, and reads all those images where it is not.
        """
        skip = self.sampler.skip

        def skip_images(number: int) -> None:
            skip(number)
            self._first = number

        return skip_images

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the seeds of an epoch."""
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


@DATASETS.register_module()
@known_arguments
class SeededDataset(Dataset):
    """Another data set, whose augmentation follows from :class:`Draw`.

    Attributes are those of the other, for hooks that read or change them.

    Args:
        dataset (dict): Config of the other data set.
    """

    def __init__(self, dataset: dict) -> None:
        vars(self)['dataset'] = DATASETS.build(dataset)

    def __getitem__(self, index: int):
        if isinstance(index, Draw):
            seed_generators(*index.numbers)
        return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str):
        if name == 'dataset':  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self.dataset, name, value)


class ExactMixin:
    """What both loops share.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the data loader.
        *args: Other arguments of MMEngine's loop.
        **kwargs: Other arguments of MMEngine's loop.
    """

    def __init__(
        self, runner: Runner, dataloader: dict, *args, **kwargs
    ) -> None:
        # MMEngine adds the rank to the seed where it is to differ, and then
        # gives samplers none, for all processes have to share one order.
        differ = runner._randomness_cfg.get('diff_rank_seed', False)
        dataloader = dict(
            dataloader,
            dataset=dict(type='SeededDataset', dataset=dataloader['dataset']),
            sampler=dict(
                type='SeededSampler',
                sampler=dataloader['sampler'],
                seed=runner.seed - (runner.rank if differ else 0),
            ),
        )
        super().__init__(runner, dataloader, *args, **kwargs)

    def run_iter(self, *args) -> None:
        """Seed the model's draws, jitter among them, and train one step."""
        seed_generators(self.runner.seed, self._iter)
        super().run_iter(*args)


@LOOPS.register_module()
@known_arguments
class ExactEpochBasedTrainLoop(ExactMixin, EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which goes on exactly after a resume.

    Also from the middle of an epoch, where MMEngine begins the epoch anew.

    Raises:
        ValueError: In training: the epoch that was interrupted had another
            number of batches.
    """

    def run_epoch(self) -> None:
        """Train an epoch, or what is left of it."""
        batches = len(self.dataloader)
        hub, whole = self.runner.message_hub, self.dataloader
        now = dict(epoch=self._epoch, iter=self._iter, batches=batches)
        began = hub.get_info(EPOCH_BEGAN, now)
        if began['epoch'] != self._epoch:
            began = now
        done = self._iter - began['iter']
        if done == began['batches']:
            done = batches  # the epoch is over, and only its end was not told
        elif done and began['batches'] != batches:
            raise ValueError(
                f'the checkpoint is of iteration {done} of an epoch of '
                f'{began["batches"]} batches, and now it has {batches}; '
                'resume with the same data, batch size and number of '
                'processes, or from the end of an epoch'
            )
        hub.update_info(EPOCH_BEGAN, began)
        self._done = done
        try:
            self.dataloader = _Rest(whole, done) if done else whole
            super().run_epoch()
        finally:
            self.dataloader = whole

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train one step; hooks count it from the beginning of the epoch."""
        super().run_iter(self._done + idx, data_batch)


class _Rest:
    """A data loader without its first batches; they are read and dropped."""

    def __init__(self, loader: DataLoader, dropped: int) -> None:
        self._loader = loader
        self._dropped = dropped

    def __iter__(self) -> Iterator:
        return islice(self._loader, self._dropped, None)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str):
        return getattr(self._loader, name)


@LOOPS.register_module()
@known_arguments
class ExactIterBasedTrainLoop(ExactMixin, IterBasedTrainLoop):
    """MMEngine's loop over iterations, which goes on exactly."""


def use_exact_loop(cfg: Config) -> None:
    """Put the exact loop in the place of MMEngine's; others stay.

    Args:
        cfg (Config): Config of a training, changed in place.
    """
    by_epoch = cfg.train_cfg.get('by_epoch', True)
    kind = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    kind = cfg.train_cfg.get('type', kind)
    for stock in (EpochBasedTrainLoop, IterBasedTrainLoop):
        if means(kind, stock):
            cfg.train_cfg.pop('by_epoch', None)
            cfg.train_cfg.type = f'Exact{stock.__name__}'
