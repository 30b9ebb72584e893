"""Memo: kept while the inputs are the same, and no longer."""

import copy
import pickle
import runpy

import pytest
import torch

from mmdet_metaanchor.method import memo as memo_module
from mmdet_metaanchor.method.memo import Memo


@pytest.fixture
def asked():
    """A memo of squares, and what it has computed so far."""
    memo, computed = Memo(), []

    def square(number, *more, **kwargs):
        def compute():
            computed.append(number.clone())
            return number.square()

        return memo(compute, number, *more, **kwargs)

    return square, computed, memo


def test_computed_once(asked):
    square, computed, _ = asked
    number = torch.tensor(3.0)
    assert square(number) is square(number)
    assert len(computed) == 1
    # An equal tensor may be written to on its own.
    assert square(number.clone()) == 9
    assert len(computed) == 2


def test_computed_again_after_a_write(asked):
    square, computed, _ = asked
    number = torch.tensor(3.0)
    square(number)
    number.add_(1)
    assert square(number) == 16
    assert len(computed) == 2


def test_numbers_are_compared_by_value(asked):
    square, computed, _ = asked
    number = torch.tensor(3.0)
    for one in (1, 1.5):
        square(number, one)
        square(number, type(one)(str(one)))
    assert len(computed) == 2


@pytest.mark.parametrize('other', [2, 1.0, '1', True, torch.float32, object()])
def test_other_inputs_count(asked, other):
    """1, 1.0 and True are equal to Python."""
    square, computed, _ = asked
    number = torch.tensor(3.0)
    for _ in range(2):
        square(number, 1)
        square(number, other)
    assert len(computed) == 2


def test_an_input_that_is_gone_is_not_confused(asked):
    """Python gives its identity to the next object, were it not held."""
    square, *_ = asked
    for i in range(100):
        assert square(torch.tensor(float(i))) == i**2


def test_another_device_counts(asked, monkeypatch):
    """A new tensor may have the identity of one that is not held."""
    _, _, memo = asked
    monkeypatch.setattr(memo_module, 'id', lambda value: 7, raising=False)
    watched = torch.tensor(3.0)
    assert memo(lambda: 'here', watched=[watched]) == 'here'
    assert memo(lambda: 'again', watched=[watched.clone()]) == 'here'
    assert memo(lambda: 'there', watched=[watched.to('meta')]) == 'there'


def test_keeps_few(asked):
    square, computed, memo = asked
    numbers = [torch.tensor(float(i)) for i in range(3 * memo.most)]
    for number in numbers:
        square(number)
        assert len(memo._kept) <= memo.most
    square(numbers[-1])
    assert len(computed) == len(numbers)


@pytest.mark.parametrize('numbers', [3, 1023, 1024, 3000])
@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.float64, torch.bfloat16, torch.uint8]
)
def test_watched_tensors_are_looked_at(asked, numbers, dtype):
    """Each number of them, NaN or not, which PyTorch would not count."""
    square, computed, _ = asked
    number = torch.tensor(3.0)
    # A view that does not start where memory is aligned to 8 bytes.
    watched = torch.ones(numbers + 1).to(dtype)[1:]
    for index in (0, numbers // 2, numbers - 1):
        square(number, watched=[watched])
        before = len(computed)
        square(number, watched=[watched])
        assert len(computed) == before
        watched.data[index] = 2
        square(number, watched=[watched])
        assert len(computed) == before + 1
    if dtype.is_floating_point:
        for factor in (2, 0.5, -1, 4, -0.25):  # bits of one pattern, if any
            square(number, watched=[watched])
            before = len(computed)
            watched.data.mul_(factor)
            square(number, watched=[watched])
            assert len(computed) == before + 1, factor
        watched.data.fill_(torch.nan)
        assert square(number, watched=[watched]) is square(
            number, watched=[watched]
        )


def test_gradients_are_as_they_were(asked):
    """To leave inference mode would turn them on."""
    square, *_ = asked
    number = torch.tensor(3.0, requires_grad=True)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert not square(number).requires_grad
        number.data.add_(1)


@pytest.mark.parametrize(
    'copied', [copy.deepcopy, lambda memo: pickle.loads(pickle.dumps(memo))]
)
def test_copies_start_empty(asked, copied):
    square, _, memo = asked
    square(torch.tensor(3.0))
    other = copied(memo)
    assert not other._kept and memo._kept
    assert other.most == memo.most


def test_results_of_inference_mode_can_be_trained_with(asked):
    square, *_ = asked
    weight = torch.ones((), requires_grad=True)
    number = torch.tensor(3.0)
    with torch.inference_mode():
        square(number)
    (weight * square(number)).backward()
    assert weight.grad == 9


def test_a_pytorch_that_cannot_say_whether_it_compiles(monkeypatch):
    """As those before 2.3; 2.0 has no ``torch.compiler`` at all."""
    monkeypatch.delattr(torch.compiler, 'is_compiling')
    for _ in range(2):
        kept = runpy.run_path(memo_module.__file__)['Memo']()
        assert kept(lambda: 2, 1) == 2
        monkeypatch.delattr(torch, 'compiler', raising=False)
