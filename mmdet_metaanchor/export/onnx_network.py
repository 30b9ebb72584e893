"""What is exported of a detector: from pixels to outputs or to boxes."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RetinaHead, RPNHead, SSDHead, YOLOV3Head
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from ..method.meta_head import MetaHeadMixin

# Heads of two branches, classes and encoded boxes, and YOLOv3's of one.
HEADS = (RetinaHead, RPNHead, SSDHead, YOLOV3Head)


class DetectorNetwork(nn.Module):
    """From pixels to the outputs of the head, or to boxes and scores.

    Normalises and pads the images as the detector's data preprocessor does.

    Args:
        model (nn.Module): A single-stage detector with a stock head of
            RetinaNet, RPN, SSD or YOLOv3, on the CPU. It is put in evaluation
            mode.
        decode (bool): Whether the outputs are boxes and scores.

    Raises:
        TypeError: The model is another one.
    """

    def __init__(self, model: nn.Module, decode: bool = False) -> None:
        head = getattr(model, 'bbox_head', None)
        if not isinstance(head, HEADS) or hasattr(model, 'roi_head'):
            names = ', '.join(kind.__name__ for kind in HEADS)
            raise TypeError(
                f'only a single-stage detector with one of {names} can be '
                f'exported, got {type(model).__name__} with a '
                f'{type(head).__name__}'
            )
        self._check_head(head)
        if not isinstance(model.data_preprocessor, ImgDataPreprocessor):
            raise TypeError(
                'the data_preprocessor of the model must be an '
                'ImgDataPreprocessor, got '
                f'{type(model.data_preprocessor).__name__}'
            )
        super().__init__()
        self.model = model
        self.decode = decode
        # The exporter gives every part the mode of the whole in the end.
        self.eval()

    @staticmethod
    def _check_head(head: nn.Module) -> None:
        if isinstance(head, MetaHeadMixin):
            raise TypeError(
                f'the weights of a {type(head).__name__} are generated: bake '
                'it first with tools/bake_anchors.py, or export it with its '
                'anchors as an input (--anchors-as-input)'
            )

    @property
    def input_axes(self) -> dict[str, dict[int, str]]:
        """Name of every input, in order, and of its axes that vary."""
        return dict(images={0: 'batch', 2: 'height', 3: 'width'})

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Name of every output, in order, and of its axes that vary."""
        if self.decode:
            # The last axes do not vary, but PyTorch does not infer that, and
            # would name them after its nodes.
            return dict(
                boxes={0: 'batch', 1: 'priors', 2: 'x1y1x2y2'},
                scores={0: 'batch', 1: 'priors', 2: 'classes'},
            )
        return {
            f'{name}_{level}': {
                0: 'batch',
                2: f'height_{level}',
                3: f'width_{level}',
            }
            for name in self._branches
            for level in range(self.model.bbox_head.prior_generator.num_levels)
        }

    @property
    def _branches(self) -> tuple[str, ...]:
        if isinstance(self.model.bbox_head, YOLOV3Head):
            return ('pred_map',)
        return 'cls_score', 'bbox_pred'

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the detector, up to NMS at most.

        Args:
            images (Tensor): (N, 3, H, W) values of pixels, 0 to 255, as
                float, with the channels that the detector's pipeline reads,
                which are BGR unless it says otherwise. H and W are free.

        Returns:
            tuple[Tensor, ...]: With ``decode``: boxes (N, n, 4) as
            (x1, y1, x2, y2) in px of the images, clipped to them where the
            coder clips, and scores (N, n, C) in [0, 1], n being the priors of
            all levels, C the classes; of an RPN there is one, objectness, and
            of YOLOv3 a score is multiplied by the objectness, whose
            ``conf_thr`` is left to the reader. Else, for every level of (h, w)
            cells and A priors per cell, logits (N, A * C, h, w), C with the
            background where scores are a softmax, and then, for every level,
            encoded boxes (N, A * 4, h, w); of YOLOv3, (N, A * (5 + C), h, w)
            for every level. All of them are as the head gives them.
        """
        branches = self.model(self._preprocess(images), mode='tensor')
        if not self.decode:
            return tuple(level for branch in branches for level in branch)
        generator = self.model.bbox_head.prior_generator
        return self._read(images, branches, generator)

    @property
    def metadata(self) -> dict:
        """What an exported file tells of itself, JSON values."""
        return {}

    def traced(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Inputs to export with, of these images."""
        return (images,)

    def examples(
        self, batches: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Inputs to compare an exported file with, of batches of images."""
        for images in batches:
            yield (images,)

    def reference(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What an exported file has to give for these inputs."""
        return self(*inputs)

    def _read(
        self,
        images: Tensor,
        branches: Sequence[Sequence[Tensor]],
        generator: AnchorGenerator,
    ) -> tuple[Tensor, Tensor]:
        """Boxes and scores of the outputs of the head."""
        head = self.model.bbox_head
        priors = generator.grid_priors(
            [level.shape[-2:] for level in branches[0]], device=images.device
        )
        read = _read_yolo if isinstance(head, YOLOV3Head) else _read_anchors
        boxes, scores = read(head, branches, priors)
        if getattr(head.bbox_coder, 'clip_border', False):
            boxes = _clip(boxes, *images.shape[-2:])
        return boxes.reshape(images.shape[0], -1, 4), scores

    def _preprocess(self, images: Tensor) -> Tensor:
        """What the data preprocessor does, for sizes known when it runs."""
        steps = self.model.data_preprocessor
        height, width = images.shape[-2:]
        if steps._channel_conversion:
            images = images[:, [2, 1, 0]]
        if steps._enable_normalize:
            images = (images - steps.mean) / steps.std
        right = -width % steps.pad_size_divisor
        bottom = -height % steps.pad_size_divisor
        return F.pad(images, (0, right, 0, bottom), value=steps.pad_value)


def _read_anchors(
    head: nn.Module, branches: Sequence[Sequence[Tensor]], priors: list
) -> tuple[Tensor, Tensor]:
    """Boxes, (N * priors, 4), and scores, (N, priors, C)."""
    logits = _one_row_a_prior(branches[0], head.cls_out_channels)
    deltas = _one_row_a_prior(branches[1], head.bbox_coder.encode_size)
    # Coders decode flat lists. While PyTorch exports, that of MMDetection
    # 3 cannot clip: it imports a module that is gone. (`len` would be fixed.)
    boxes = head.bbox_coder.decode(
        torch.cat(priors).repeat(logits.shape[0], 1), deltas.flatten(0, 1)
    )
    if head.use_sigmoid_cls:
        return boxes, logits.sigmoid()
    return boxes, logits.softmax(-1)[..., :-1]


def _read_yolo(
    head: nn.Module, branches: Sequence[Sequence[Tensor]], priors: list
) -> tuple[Tensor, Tensor]:
    """Boxes, (N, priors, 4), and scores, (N, priors, C)."""
    (levels,) = branches
    boxes, scores = [], []
    for level, prior, stride in zip(
        levels, priors, head.featmap_strides, strict=True
    ):
        center, size, objectness, logits = _one_row_a_prior(
            [level], head.num_attrib
        ).split([2, 2, 1, head.num_classes], dim=-1)
        codes = torch.cat([center.sigmoid(), size], -1)
        boxes.append(head.bbox_coder.decode(prior, codes, stride))
        scores.append(logits.sigmoid() * objectness.sigmoid())
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def _one_row_a_prior(levels: Sequence[Tensor], channels: int) -> Tensor:
    """Levels of (N, A * channels, h, w) to (N, priors, channels)."""
    rows = [level.permute(0, 2, 3, 1).flatten(1) for level in levels]
    return torch.cat(rows, 1).reshape(levels[0].shape[0], -1, channels)


def _clip(boxes: Tensor, height: int, width: int) -> Tensor:
    x = boxes[..., 0::2].clamp(min=0).clamp(max=width)
    y = boxes[..., 1::2].clamp(min=0).clamp(max=height)
    return torch.stack([x, y], -1).flatten(-2)
