"""Detectors of MMDetection that MetaAnchor is compared with."""

import torch
from mmcv.ops import DeformConv2d
from mmdet.models.dense_heads import GARetinaHead
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


class _Unmasked(nn.Conv2d):
    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(features)


class _Sampled(DeformConv2d):
    """A deformable convolution of stride 1 that keeps the size, by sampling.

    On a CPU, MMCV's takes more than half of a training step, and knows no
    bfloat16.
    """

    def forward(self, features: Tensor, offset: Tensor) -> Tensor:
        """The same as MMCV's.

        Args:
            features (Tensor): (N, C, H, W).
            offset (Tensor): (N, groups * kernel places * 2, H, W): how far
                from its place, y before x, in cells, a place is read.

        Returns:
            Tensor: (N, C_out, H, W).
        """
        n, channels, *size = features.shape
        shift = offset.reshape(n * self.deform_groups, -1, 2, *size).float()
        kernel = torch.cartesian_prod(*map(torch.arange, self.kernel_size))
        kernel = kernel - torch.tensor(self.padding)
        cell = torch.stack(
            torch.meshgrid(*map(torch.arange, size), indexing='ij')
        )
        position = shift + kernel[:, :, None, None].to(shift) + cell.to(shift)
        # The middle of the first cell is at 1 / cells - 1.
        cells = shift.new_tensor(size)[:, None, None]
        grid = ((2 * position + 1) / cells - 1).flip(2)  # x before y
        samples = F.grid_sample(
            features.reshape(len(shift), -1, *size).float(),
            grid.movedim(2, -1).flatten(1, 2),
            align_corners=False,
        )
        columns = samples.reshape(n, -1, size[0] * size[1])
        return (self.weight.flatten(1) @ columns).unflatten(-1, size)


@MODELS.register_module()
class UnmaskedGARetinaHead(GARetinaHead):
    """GARetinaHead for a CPU.

    MMCV has masked convolutions for GPUs alone. These compute every place, of
    which the head then reads those of the mask, as ever. Its deformable
    convolutions are computed by sampling. Under autocast its outputs leave it
    in single precision, since anchors are made of them, and other heads'
    anchors are not rounded.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        for conv in (self.retina_cls, self.retina_reg):
            conv.__class__ = _Unmasked
        for adaption in (self.feature_adaption_cls, self.feature_adaption_reg):
            adaption.conv_adaption.__class__ = _Sampled

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """Scores, boxes, shapes and places of a level, as the head's own.

        Args:
            x (Tensor): Features, (N, C, H, W).
        """
        return tuple(output.float() for output in super().forward_single(x))

    @property
    def prior_generator(self) -> AnchorGenerator:
        """Of the squares, one per cell, whose sizes are predicted."""
        return self.square_anchor_generator


@MODELS.register_module()
class MendedGARetinaHead(UnmaskedGARetinaHead):
    """GARetinaHead that learns where objects are, not where they are not.

    GuidedAnchorHead marks the centres of objects by 1 and other places by 0,
    and hands that to FocalLoss as labels. Since MMDetection 2.0 label 0 means
    the first class there, and the label after the last class background. So
    the centres of objects are what is learnt to be left out.
    """

    def loss_loc_single(
        self, loc_pred: Tensor, loc_target: Tensor, *args, **kwargs
    ) -> Tensor:
        """The loss of places of a level.

        Args:
            loc_pred (Tensor): Logits, (N, 1, H, W).
            loc_target (Tensor): 1 at the centres of objects, (N, 1, H, W).
            *args: As of the parent.
            **kwargs: As of the parent.
        """
        return super().loss_loc_single(
            loc_pred, 1 - loc_target, *args, **kwargs
        )
