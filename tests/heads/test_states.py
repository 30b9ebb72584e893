"""No stale and no mixed result, whatever is done with a model.

Copies, other processes, devices and dtypes, averages, wrappers and compiled
forms have the anchors of now.
"""

import copy
import itertools
import pickle
import threading

import pytest
import torch
from families import both_forms, build, every_head, features
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import ExponentialMovingAverage
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from mmdet_metaanchor import AnchorFunctionGenerator, customize_anchors
from mmdet_metaanchor.anchors.customize import list_shapes


@pytest.fixture(scope='module')
def process_group(tmp_path_factory):
    """One process, for DDP."""
    file = tmp_path_factory.mktemp('group') / 'file'
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{file}', rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def averaged(head):
    average = ExponentialMovingAverage(head)
    average.update_parameters(head)
    return average.module


def moved(head):
    """To another device and back; 'meta' holds no numbers."""
    state = head.state_dict()
    head.to('meta').to_empty(device='cpu')
    head.load_state_dict(state)
    return head


# What is done with a head, and the head in what it gives.
STATES = {
    'deep copy': copy.deepcopy,
    'pickled': lambda head: pickle.loads(pickle.dumps(head)),
    'double': lambda head: copy.deepcopy(head).double(),
    'moved': moved,
    'average': averaged,
    'DDP': lambda head: DistributedDataParallel(head).module,
    'training and back': lambda head: head.train().eval(),
}


def other_shapes(head, factor):
    return [
        [(w * factor, h / factor) for w, h in level][:2]
        for level in list_shapes(head.prior_generator)
    ]


def outputs(call, name):
    """Of a fixed input, all branches and levels in one row."""
    torch.manual_seed(1)
    head = getattr(call, '__self__', call)
    feats = [feat.to(next(head.parameters())) for feat in features(name)]
    with torch.no_grad():
        return torch.cat(
            [level.flatten() for branch in call(feats) for level in branch]
        )


def near(some, other):
    return some.shape == other.shape and torch.allclose(
        some.double(), other.double(), atol=1e-3, rtol=1e-4
    )


@every_head
@pytest.mark.parametrize('state', STATES)
def test_anchors_changed_before_and_after(name, state, process_group):
    head = build(name)
    wanted = {}
    for factor in (1.2, 0.9):
        customize_anchors(head, other_shapes(build(name), factor))
        wanted[factor] = outputs(head, name)
    assert not near(*wanted.values())

    customize_anchors(head, other_shapes(build(name), 1.2))
    other = STATES[state](head)
    assert near(outputs(other, name), wanted[1.2])
    customize_anchors(other, other_shapes(build(name), 0.9))
    assert near(outputs(other, name), wanted[0.9])
    if state in ('deep copy', 'pickled', 'double', 'average'):
        # What happens to a copy leaves the original alone.
        assert near(outputs(head, name), wanted[1.2])


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        pair
        for pair in itertools.product(STATES, STATES)
        # DDP refuses an average, of which nothing is trained.
        if pair != ('average', 'DDP')
    ],
)
def test_two_states_one_after_the_other(first, second, process_group):
    head = build('Retina')
    shapes = [other_shapes(head, factor) for factor in (1.2, 0.9)]
    customize_anchors(head, shapes[1])
    wanted = outputs(head, 'Retina')
    customize_anchors(head, shapes[0])
    for state in (first, second):
        head = STATES[state](head)
        outputs(head, 'Retina')
    customize_anchors(head, shapes[1])
    assert near(outputs(head, 'Retina'), wanted)


def step(head, **kwargs):
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, **kwargs)
    sum(
        level.square().sum()
        for branch in head(features(head.family))
        for level in branch
    ).backward()
    optimizer.step()


def step_in_training(head):
    head.train()
    step(head)
    head.eval()


def swapped(head):
    """As MMEngine's EMAHook does it, before the evaluation loop."""
    head.train()
    for param in head.parameters():
        param.data.copy_(param.data * 1.5)
    head.eval()


@torch.no_grad()
def written(head):
    for param in head.parameters():
        param.mul_(1.5)


def written_as_data(head):
    for param in head.parameters():
        param.data.mul_(1.5)


def written_as_array(head):
    for param in head.parameters():
        param.detach().numpy()[...] *= 1.5


def one_number(head):
    """The last of the largest tensor of a generator of each branch."""
    for part in head.anchor_functions().values():
        part.shared.weight.data.flatten()[-1].add_(1)


def data_assigned(head):
    """Twice, so that the second may get the memory of the first."""
    for param in head.parameters():
        param.data = param.data * 1.5
        param.data = param.data * 0.9


def from_vector(head):
    """As PyTorch's averaging of optimizers in one vector does."""
    vector = parameters_to_vector(head.parameters()).detach()
    vector_to_parameters(1.5 * vector, head.parameters())


def tensors_swapped(head):
    """As ``module.to()`` may do it in the future of PyTorch."""
    for param, other in zip(
        list(head.parameters()), build(head.family).parameters(), strict=True
    ):
        torch.utils.swap_tensors(param, other)


def loaded(head, **kwargs):
    state = {k: v.clone() for k, v in build(head.family).state_dict().items()}
    head.load_state_dict(state, **kwargs)


def halved(head):
    for param in head.parameters():
        param.data *= 1 + 2**-9
    head.bfloat16().float()


# What is done to a head in place, between two inferences.
CHANGES = {
    'training step': step_in_training,
    'step of an optimizer': step,
    'step of a fused optimizer': lambda head: step(head, fused=True),
    'written to': written,
    'written to through .data': written_as_data,
    'written to as an array': written_as_array,
    'one number': one_number,
    '.data assigned': data_assigned,
    'from a vector': from_vector,
    'tensors swapped': tensors_swapped,
    'averages swapped': swapped,
    'loaded': loaded,
    'assigned': lambda head: loaded(head, assign=True),
    'rounded': halved,
    'trained range': lambda head: head.shape_range.fill_(-0.1),
    'trained range through .data': lambda head: head.shape_range.data.fill_(
        -0.1
    ),
    'anchors written to': lambda head: [
        level.data.mul_(1.3) for level in head.prior_generator.base_anchors
    ],
    'trained range unknown': lambda head: head.shape_range.fill_(torch.nan),
    'box function': lambda head: setattr(head, 'box_function', 'published'),
    'form': lambda head: [
        setattr(part, 'form', 'mixture')
        for part in head.anchor_functions().values()
    ],
}


@every_head
@pytest.mark.parametrize('change', CHANGES)
def test_weights_changed(name, change):
    """What was generated for the first inference is not used."""
    head = build(name, form='weights')
    head.family = name
    head.shape_range.copy_(head.range_of_priors(jitter=False) * 0.8)
    before = outputs(head, name)
    assert torch.equal(outputs(head, name), before)
    CHANGES[change](head)
    now = outputs(head, name)
    # A copy has kept nothing.
    assert torch.equal(now, outputs(copy.deepcopy(head), name))
    assert near(now, before) == (change == 'form')


@every_head
def test_average_that_goes_on(name):
    """MMEngine writes the averages through ``.data``."""
    head = build(name)
    average = ExponentialMovingAverage(head, momentum=0.5).eval()
    average.update_parameters(head)  # the first is a copy
    before = outputs(average.module, name)
    written(head)
    average.update_parameters(head)
    now = outputs(average.module, name)
    assert not near(now, before)
    assert torch.equal(now, outputs(copy.deepcopy(average.module), name))


@every_head
@both_forms
def test_nothing_is_generated_twice(name, form, monkeypatch):
    """What the tests above would hold without."""
    head = build(name, form=form)
    outputs(head, name)
    for method in ('_hidden', 'kernel_and_bias'):
        monkeypatch.setattr(AnchorFunctionGenerator, method, None)
    outputs(head, name)


@every_head
def test_inference_mode(name):
    head = build(name)
    with torch.inference_mode():
        before = outputs(head, name)
        customize_anchors(head, other_shapes(head, 1.2))
        within = outputs(head, name)
    after = outputs(head, name)
    assert torch.equal(within, after)
    assert not near(before, after)
    # What was used in inference mode can be trained.
    head.train()
    sum(
        level.sum() for branch in head(features(name)) for level in branch
    ).backward()


# Beyond 8 forms of a function, of all heads, PyTorch would run it as it is.
@torch._dynamo.config.patch(cache_size_limit=64)
@every_head
def test_compiled(name):
    counters.clear()
    head = build(name)
    # 'eager': the tracing is in question, not the code that it ends in.
    compiled = torch.compile(head, backend='eager')
    for factor in (1.2, 0.9, 1.2):
        customize_anchors(head, other_shapes(build(name), factor))
        feats = features(name)
        with torch.no_grad():
            wanted, got = head(feats), compiled(feats)
        for ours, theirs in zip(got, wanted, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b)
    # 22 of RetinaNet and 8 more of ATSS; with the limit of 8, 2 of YOLOv3.
    assert counters['stats']['unique_graphs'] > 5


@pytest.fixture
def detecting():
    """A head that predicts, and what it finds in fixed features."""

    def detecting(name):
        head = build(name)
        head.test_cfg = ConfigDict(
            nms_pre=100,
            score_thr=0.0,
            conf_thr=0.0,
            min_bbox_size=0,
            nms=dict(type='nms', iou_threshold=0.9),
            max_per_img=20,
        )
        feats = features(name, images=1)
        meta = dict(img_shape=(96, 128), scale_factor=(1.0, 1.0))

        @torch.no_grad()
        def detect():
            (found,) = head.predict(feats, [DetDataSample(metainfo=meta)])
            return torch.cat([found.bboxes, found.scores[:, None]], dim=1)

        return head, detect

    return detecting


@every_head
def test_anchors_changed_in_the_middle_of_a_prediction(name, detecting):
    """Outputs are of the old anchors, and so are the boxes they move."""
    head, detect = detecting(name)
    old, new = (other_shapes(head, factor) for factor in (1.2, 0.9))
    wanted = []
    for shapes in (new, old):
        customize_anchors(head, shapes)
        wanted.append(detect())
    handle = head.register_forward_hook(
        lambda *_: customize_anchors(head, new)
    )
    first = detect()
    handle.remove()
    assert torch.equal(first, wanted[1])
    assert torch.equal(detect(), wanted[0])
    assert not torch.equal(*wanted)


@every_head
def test_anchors_changed_by_another_thread(name, detecting):
    head, detect = detecting(name)  # of SSD, the number changes, too
    sets = [list_shapes(head.prior_generator), other_shapes(head, 0.9)]
    wanted = []
    for shapes in sets:
        customize_anchors(head, shapes)
        wanted.append(detect())
    assert not torch.equal(*wanted)
    done, raised, rounds = threading.Event(), [], []

    def change():
        try:
            while not done.is_set():
                for shapes in sets:
                    customize_anchors(head, shapes)
                rounds.append(1)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        found = [detect() for _ in range(40)]
    finally:
        done.set()
        thread.join()
    assert not raised
    assert rounds
    for one in found:
        assert any(torch.equal(one, other) for other in wanted)
