"""Outputs of a head as scores and boxes, prior by prior."""

from collections.abc import Sequence

from torch import Tensor


class LevelOutputs:
    """How a dense head's outputs are read where its own prediction cannot be.

    Its own loses which prior a detection is of. This is the part of it up to
    thresholds and suppression, for heads of two branches, classes and boxes;
    a head of another layout overrides it.
    """

    #: Whether ``nms_pre`` of a test bounds each level, or all together.
    CUTS_EACH_LEVEL = True

    def read_level(
        self, outputs: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores and encoded boxes of one level of one image.

        Args:
            outputs (Sequence[Tensor]): Of each branch, (A * outputs, H, W).

        Returns:
            tuple[Tensor, Tensor, Tensor | None]: For the n = H * W * A
            priors, in the order of their grid: scores (n, C) in [0, 1];
            codes of boxes (n, 4); and what their scores are multiplied by
            after all thresholds, (n,), or ``None``.
        """
        logits, codes = (output.permute(1, 2, 0) for output in outputs)
        logits = logits.reshape(-1, self.cls_out_channels)
        codes = codes.reshape(-1, self.bbox_coder.encode_size)
        if self.use_sigmoid_cls:
            return logits.sigmoid(), codes, None
        return logits.softmax(-1)[:, :-1], codes, None

    def decode_level(
        self, priors: Tensor, codes: Tensor, level: int, img_shape: tuple
    ) -> Tensor:
        """Boxes of some priors of a level.

        Args:
            priors (Tensor): (n, 4) ``(x1, y1, x2, y2)`` in px.
            codes (Tensor): (n, 4), as :meth:`read_level` gives them.
            level (int): Index of the level.
            img_shape (tuple[int, int]): (H, W) of the image in px, for
                coders that clip.

        Returns:
            Tensor: (n, 4) ``(x1, y1, x2, y2)`` in px.
        """
        return self.bbox_coder.decode(priors, codes, img_shape)
