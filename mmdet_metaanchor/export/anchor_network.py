"""What is exported of a detector whose anchors are inputs."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..anchors.customize import build_anchors, list_shapes, restored_anchors
from ..method.anchor_function import AnchorFunctionGenerator
from ..method.meta_head import MetaHeadMixin
from .onnx_network import DetectorNetwork

# Numbers of anchors that are compared beside the present ones.
COMPARED = (1, 25)


class AnchorNetwork(DetectorNetwork):
    """From pixels and sizes of anchors to boxes and scores.

    The generators are part of it: codes of the anchors, the nearest trained
    shapes, and the mixture of the maps that all anchors share, see
    :class:`AnchorFunctionGenerator`. So it costs the same convolutions for
    any number of anchors: of 9 maps with the default ``rank`` of 8, and of
    129 with a full W2.

    Args:
        model (nn.Module): A single-stage detector with a MetaAnchor head of
            RetinaNet, RPN, SSD or YOLOv3, on the CPU. It is put in
            evaluation mode.

    Raises:
        TypeError: The model is another one.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, decode=True)

    @staticmethod
    def _check_head(head: nn.Module) -> None:
        if not isinstance(head, MetaHeadMixin):
            raise TypeError(
                f'the anchors of a {type(head).__name__} are fixed: only '
                'those of a MetaAnchor head can be an input'
            )

    @property
    def input_axes(self) -> dict[str, dict[int, str]]:
        """See :class:`DetectorNetwork`."""
        sizes = {f'anchors_{i}': {0: f'number_{i}'} for i in self._levels}
        return super().input_axes | sizes

    @property
    def metadata(self) -> dict:
        """The present anchors, (w, h) in px, one list per level."""
        return dict(anchors=list_shapes(self._generator))

    @property
    def _generator(self):
        return self.model.bbox_head.prior_generator

    @property
    def _levels(self) -> range:
        return range(self._generator.num_levels)

    def forward(
        self, images: Tensor, *anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the detector up to NMS.

        Args:
            images (Tensor): (N, 3, H, W), as for :class:`DetectorNetwork`.
            *anchors (Tensor): Sizes (w, h) in px of the images, (A, 2), one
                tensor per level; A is free, and may differ between levels.

        Returns:
            tuple[Tensor, Tensor]: Boxes (N, n, 4) and scores (N, n, C), as
            :class:`DetectorNetwork` decodes them. The n rows are those of
            the first level, then of the next; of a level by rows of cells,
            from left to right, and of a cell in the order of its anchors.
            An anchor with a side that is 0, negative, infinite or NaN has
            scores of 0, and its boxes mean nothing.
        """
        real = [((a > 0) & (a < torch.inf)).all(1, True) for a in anchors]
        sizes = [
            torch.where(good, level, 1.0)
            for good, level in zip(real, anchors, strict=True)
        ]
        priors = self._generator.with_shapes(sizes)
        branches = self._outputs(images, priors.codes_of(priors.base_shapes))
        boxes, scores = self._read(images, branches, priors)
        # One for the rows of every cell.
        masks = [
            good.to(scores).repeat(level.shape[-2] * level.shape[-1], 1)
            for good, level in zip(real, branches[0], strict=True)
        ]
        return boxes, scores * torch.cat(masks)

    def _outputs(
        self, images: Tensor, codes: Sequence[Tensor]
    ) -> list[list[Tensor]]:
        """What the head's forward gives for these codes."""
        head = self.model.bbox_head
        towers = head.towers(self.model.extract_feat(self._preprocess(images)))
        branches = []
        for functions, tower in zip(head.branches(), towers, strict=True):
            if isinstance(functions, AnchorFunctionGenerator):
                functions = [functions] * len(tower)
            levels = zip(functions, tower, codes, strict=True)
            # Each by itself: of several, equal codes would be merged.
            branches.append(
                [
                    one(one.prepare([feat], None), [code])[0]
                    for one, feat, code in levels
                ]
            )
        return branches

    def reference(
        self, images: Tensor, *anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the detector gives that has been customised to the anchors."""
        head = self.model.bbox_head
        with restored_anchors(self.model):
            sizes = [level.tolist() for level in anchors]
            # As customize_anchors, without its warning of untrained shapes.
            head.set_prior_generator(build_anchors(sizes, self._generator))
            return super().forward(images)

    def traced(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """See :class:`DetectorNetwork`; numbers that no level shares."""
        return images, *self._draw([2 + level for level in self._levels])

    def examples(
        self, batches: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """See :class:`DetectorNetwork`; several numbers of anchors."""
        present = [level.numpy() for level in self._generator.base_shapes]
        for images in batches:
            yield images, *present
        for number in COMPARED:
            yield batches[0], *self._draw([number] * len(present))
        # Another number at every level, and a batch of several images.
        yield batches[1], *self._draw([5 - i % 3 for i in self._levels])

    def _draw(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Random sizes within and around the present ones, (w, h) in px."""
        rng = np.random.default_rng(0)
        drawn = []
        shapes = self._generator.base_shapes
        for number, level in zip(numbers, shapes, strict=True):
            logs = level.log().numpy()
            sides = rng.uniform(
                logs.min(0) - 0.7, logs.max(0) + 0.7, (number, 2)
            )
            drawn.append(np.exp(sides).astype(np.float32))
        return drawn
