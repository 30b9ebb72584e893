"""What is known of encoded boxes: how they depend on the prior's shape."""

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder, YOLOBBoxCoder
from torch import Tensor

# (x1, y1, x2, y2) of boxes near a prior of side 1 around the origin. Two
# determine a line in every coordinate of any code, the third is a check.
PROBES = (
    (-0.5, -0.5, 0.5, 0.5),
    (-0.75, -0.85, 1.25, 1.35),
    (-0.35, -0.45, 0.05, 0.25),
)

REFUSED = (
    '{} does not encode boxes relative to the sides of a prior, so they '
    'cannot be predicted in units of the standard box; set '
    "box_function='published' in the head"
)


class BoxUnits:
    r"""What :func:`units_of_prior` finds, in closed form, for every step.

    For all of these coders and coordinates i

    .. math::
        D_i(b) = e^{-m_i \cdot b}, \quad
        s_i(b) = n_i \cdot b + c_i\,(D_i(b) - 1)

    with constants m and n, (4, 2), and c, (4,), which three priors tell.

    Args:
        coder (BaseBBoxCoder): Encodes boxes (x1, y1, x2, y2).

    Raises:
        ValueError: Its codes are not of this form.
    """

    def __init__(self, coder: BaseBBoxCoder) -> None:
        self.coder = coder
        axes = torch.eye(2, dtype=torch.float64)
        scale, shift = (part.T for part in units_of_prior(coder, axes))
        self.m = -scale.log().round()  # 0 or 1
        moved = self.m.abs() > 0
        constants = torch.where(moved, shift / (scale - 1), 0)
        # A coordinate is scaled along one side of a prior at most.
        self.c = constants.sum(1)
        self.n = torch.where(moved, 0, shift)
        probe = torch.tensor([[0.4, -0.7]]).double()
        for ours, theirs in zip(
            self(probe), units_of_prior(coder, probe), strict=True
        ):
            if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4):
                raise ValueError(REFUSED.format(type(coder).__name__))

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """D and s, each (A, 4), of (A, 2) codes; on the CPU."""
        codes = codes.detach().cpu().double()
        scale = (-codes @ self.m.T).exp()
        return scale, codes @ self.n.T + self.c * (scale - 1)


def units_of_prior(
    coder: BaseBBoxCoder, codes: Tensor
) -> tuple[Tensor, Tensor]:
    r"""From boxes in units of the standard box to boxes as a coder has them.

    The box that an object has does not depend on the prior that predicts it;
    its code does, in a known way. With ``u`` the code relative to a prior of
    the standard box's size, the code relative to a prior of code ``b`` at the
    same place is

    .. math:: t = D(b)\,u + s(b),

    D being diagonal. For MMDetection's :class:`DeltaXYWHBBoxCoder` it
    follows from :math:`t_x = (x - x_a) / w_a` and :math:`t_w = \log(w /
    w_a)` with :math:`w_a = AW e^{b_w}, h_a = AH e^{b_h}` that

    .. math::
        D = \mathrm{diag}(e^{-b_w}, e^{-b_h}, 1, 1), \quad
        s = (0, 0, -b_w, -b_h)

    before its means and stds; for YOLO's coder D is 1 and s the same; corner
    offsets are of this form, too. Rather than by a formula per coder, D and
    s are found from what the coder itself makes of two boxes, so that they
    are right for any coder of this form, with its means, stds or variances.

    Args:
        coder (BaseBBoxCoder): Encodes boxes (x1, y1, x2, y2).
        codes (Tensor): (A, 2) codes of the priors, :math:`(b_h, b_w)`,
            log-space.

    Returns:
        tuple[Tensor, Tensor]: D and s, each (A, 4), on the CPU, in the order
        of the coder's codes. At :math:`b = 0` they are 1 and 0 to the last
        bit.

    Raises:
        ValueError: The coder's codes are not of this form.
    """
    halves = codes.detach().double().cpu().flip(1).exp() / 2  # (w, h) / 2
    priors = torch.cat([-halves, halves], dim=1)
    standard = torch.tensor(PROBES[:1]).to(priors).expand_as(priors)

    def encode(prior: Tensor, box: tuple, side: float = 1.0) -> Tensor:
        more = dict(stride=side) if isinstance(coder, YOLOBBoxCoder) else {}
        boxes = torch.tensor([box]).to(prior).expand_as(prior)
        return coder.encode(side * prior, side * boxes, **more).double()

    u, v, w = (encode(standard, box) for box in PROBES)
    t, at_v = (encode(priors, box) for box in PROBES[:2])
    scale = (at_v - t) / (v - u)
    shift = t - scale * u
    # Of any size: a code of px, or of px + 1, depends on more than b.
    at_w = encode(priors, PROBES[2], side=100.0)
    if not torch.allclose(scale * w + shift, at_w, rtol=1e-4, atol=1e-4):
        raise ValueError(REFUSED.format(type(coder).__name__))
    return scale, shift
