"""Where the anchors of a page can come from."""

from pathlib import Path

from mmengine.config import Config

from ..anchors.anchors_file import read_anchors
from ..anchors.boxes import read_detector_boxes
from ..anchors.clusters import cluster_anchors
from ..anchors.customize import Anchors, build_anchors
from ..method.meta_head import MetaHeadMixin
from .rows import Levels, Row, grid
from .truth import Truth

MOST_CLUSTERS = 50
GRIDS = {'1x1': (1, 1.0), '3x3': (3, 2.0), '5x5': (5, 3.0)}


class Sources:
    """Tables of anchors for a head.

    Args:
        head (MetaHeadMixin): The head, which has the training anchors.
        levels (Levels): Its levels.
        cfg (Config): Config of the detector.
        truth (Truth, optional): Boxes to make clusters of.
    """

    def __init__(
        self,
        head: MetaHeadMixin,
        levels: Levels,
        cfg: Config,
        truth: Truth | None,
    ) -> None:
        self._head, self._levels = head, levels
        self._generator = head.prior_generator
        self._cfg, self._truth = cfg, truth

    def rows_of(self, anchors: Anchors | None = None) -> list[Row]:
        """The table of anchors, or of the training anchors.

        Args:
            anchors (dict | list): As for :func:`customize_anchors`.

        Raises:
            TypeError: They are neither a dict nor a list.
            ValueError: Bad sizes, or levels that do not match.
        """
        generator = self._generator
        if anchors is not None:
            generator = build_anchors(anchors, self._generator)
            self._head.check_prior_generator(generator)
        return self._levels.parse(self._levels.rows(generator))

    def rows_of_file(self, path: str | Path) -> list[Row]:
        """The table of an anchors file, see :func:`read_anchors`."""
        return self.rows_of(read_anchors(path))

    def rows_of_grid(self, name: str) -> list[Row]:
        """The table of a grid of the paper: '1x1', '3x3' or '5x5'."""
        return self.rows_of(grid(self._generator, *GRIDS[name]))

    def rows_of_clusters(
        self, number: int, ann_file: str | Path | None = None
    ) -> list[Row]:
        """The table of clusters of the boxes of a COCO JSON.

        Args:
            number (int): Clusters per level.
            ann_file (str | Path, optional): The file. Defaults to that of the
                session.

        Raises:
            ValueError: There is no file, or it is no COCO JSON; or the
                number is not from 1 to 50, or that of distinct sizes.
        """
        if number not in range(1, MOST_CLUSTERS + 1):
            raise ValueError(
                f'clusters per level must be 1 to {MOST_CLUSTERS}, got '
                f'{number}'
            )
        if ann_file is not None:
            sizes = read_detector_boxes(self._cfg, ann_file).sizes
        elif self._truth is not None:
            sizes = self._truth.boxes.sizes
        else:
            raise ValueError('clusters need boxes: load a COCO JSON')
        return self.rows_of(
            cluster_anchors(
                sizes,
                self._generator,
                int(number),
                shape_range=self._head.shape_range.cpu(),
            )
        )
