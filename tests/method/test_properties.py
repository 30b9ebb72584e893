"""Codes and anchor functions of shapes of any size."""

import copy
import math
import re

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mmdet_metaanchor import AnchorFunctionGenerator, MetaAnchorGenerator

SIDE = st.floats(-6, 6).map(lambda exponent: 10**exponent)  # 1e-6 to 1e6 px
SHAPES = st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=4)
# Of sides from e^-30 to e^30 times those of the standard box.
CODES = st.lists(
    st.tuples(*[st.floats(-30, 30, width=32)] * 2), min_size=1, max_size=5
)
# What may stand where a size should.
ANY = st.one_of(SIDE, st.floats(), st.integers(-(10**40), 10**40))


@given(st.lists(SHAPES, min_size=2, max_size=2))
def test_codes_say_the_shapes(shapes):
    generator = MetaAnchorGenerator([8, 16], shapes=shapes)
    for codes, unit, level in zip(
        generator.codes(), generator.units, shapes, strict=True
    ):
        assert codes.isfinite().all()
        sides = (codes.double().exp() * unit).flip(1)
        torch.testing.assert_close(
            # Shapes of equal code on two levels share it, up to 1e-5.
            sides, torch.tensor(level).double(), rtol=3e-5, atol=0
        )  # fmt: skip


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=3))
# The second, divided by the mean of both, is 0 in single precision.
@example([(1.0, 33554431.0), (1.0, 1.175494351e-38)])
def test_a_size_is_taken_or_refused(sizes):
    """Not as single precision has it: 1e-50 and 1e50 px are 0 and infinite."""
    try:
        generator = MetaAnchorGenerator([8], shapes=[sizes])
    except ValueError as error:
        assert re.search(r'\(w, h\)|standard_box', str(error))
        # The sum of three, for their mean, is finite, too.
        taken = [
            all(1.2e-38 < side < 1.1e38 for side in size) for size in sizes
        ]
        assert not all(taken)
        return
    assert all(level.isfinite().all() for level in generator.codes())
    assert all(0 < side < math.inf for size in sizes for side in size)


@given(st.integers(0, 2**31), SHAPES, st.floats(0, 2))
def test_a_draw_stays_within_the_jitter_and_ends(seed, shapes, jitter):
    generator = MetaAnchorGenerator([8], shapes=[shapes], jitter=jitter)
    (before,) = generator.codes()
    torch.manual_seed(seed)
    with generator.jittered():
        (moved,) = generator.codes()
    assert (moved - before).abs().max() <= jitter + 1e-5
    assert torch.equal(generator.codes()[0], before)


@pytest.fixture(scope='module', params=[3, None], ids=['rank 3', 'full'])
def functions(request):
    torch.manual_seed(0)
    made = AnchorFunctionGenerator(2, 3, hidden_channels=8, rank=request.param)
    for param in made.parameters():
        torch.nn.init.normal_(param, std=0.3)
    forms = dict(weights=made, mixture=copy.deepcopy(made))
    for form, part in forms.items():
        part.form = form
    return forms


@torch.no_grad()
@given(CODES, st.integers(0, 2**31))
def test_a_set_is_its_members_in_both_forms(functions, codes, seed):
    feat = torch.randn(
        1, 2, 3, 4, generator=torch.Generator().manual_seed(seed)
    )
    codes = torch.tensor(codes)
    outputs = {}
    for form, part in functions.items():
        (outputs[form],) = part([feat], [codes])
        alone = [part([feat], [code[None]])[0] for code in codes]
        together = torch.cat(alone, dim=1)
        # Relative to the largest: sums of products cancel.
        limit = 1e-5 * float(together.abs().max())
        assert outputs[form].isfinite().all()
        assert (outputs[form] - together).abs().max() <= limit
    assert (outputs['weights'] - outputs['mixture']).abs().max() <= limit
