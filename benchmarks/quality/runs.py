"""What is trained and what is tested, by the names of a grid config."""

from typing import NamedTuple

# Anchors of a test that are not in the config; see docs/benchmark-digits.md.
CHOSEN = (
    'trained',
    'clustered',
    'clustered-beyond',
    'searched',
    'clustered+searched',
)


class Evaluation(NamedTuple):
    """Test images of a data set, and anchors: names in the grid config."""

    data: str
    anchors: str

    @property
    def chooses(self) -> bool:
        """Whether its anchors are found for the test."""
        return self.anchors in CHOSEN[1:]

    def __str__(self) -> str:
        return f'{self.data}, {self.anchors}'


class Cell(NamedTuple):
    """A number of a table: which training, tested how, and which metric."""

    variant: str
    test: Evaluation
    metric: str = 'mAP'


class Run(NamedTuple):
    """A training with one seed, and its tests."""

    variant: str
    seed: int
    tests: tuple[Evaluation, ...]

    def __str__(self) -> str:
        return f'{self.variant}, seed {self.seed}'

    @property
    def name(self) -> str:
        """str: Name of its folder and of its file."""
        return f'{self.variant}_seed{self.seed}'
