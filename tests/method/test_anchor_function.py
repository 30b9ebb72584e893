"""Laws of AnchorFunctionGenerator."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

from mmdet_metaanchor.method.stock_weights import interpolate, spread_units

IN, OUT, HIDDEN = 4, 3, 8


def build(dtype=torch.float32, **kwargs):
    generator = MODELS.build(
        dict(
            type='AnchorFunctionGenerator',
            in_channels=IN,
            **{
                'out_channels': OUT,
                'hidden_channels': HIDDEN,
                'rank': None,
                **kwargs,
            },
        )
    ).to(dtype)
    generator.init_weights()
    # A new generator has W2 = 0, with which most laws hold trivially.
    torch.nn.init.normal_(generator.residual_layer.weight)
    torch.nn.init.normal_(generator.shared.bias)
    return generator


def theta_of(generator, codes, pooled=None):
    """(..., A, P): the kernel of a prior, flattened, and then its bias."""
    return torch.cat(generator.kernels_and_biases(codes, pooled), dim=-1)


def plain_theta(generator, code, feature=None):
    """A sum at a time.

    theta* + W2 (relu(W11 b + W12 r(x) + c) - relu(c)) / sqrt(m)
    """
    hidden = []
    bend = generator.bends
    for unit in range(HIDDEN):
        total = sum(
            generator.code_layer.weight[unit, i] * code[i] for i in range(2)
        )
        if feature is not None:
            for channel in range(IN):
                mean = feature[channel].sum() / feature[channel].numel()
                weight = generator.feature_layer.weight[unit, channel]
                total = total + weight * mean
        total = total + bend[unit]
        hidden.append(total.clamp(min=0) - bend[unit].clamp(min=0))
    residual = sum(
        hidden[unit] * generator.residual_layer.weight[:, unit]
        for unit in range(HIDDEN)
    )
    shared = torch.cat(
        [generator.shared.weight.flatten(), generator.shared.bias]
    )
    return shared + residual / math.sqrt(HIDDEN)


def plain_forward(generator, feat, codes):
    """One ordinary convolution for each image and each prior."""
    images = []
    for image in feat:
        outputs = []
        for code in codes:
            feature = image if generator.data_dependent else None
            theta = plain_theta(generator, code, feature)
            weight, bias = theta[:-OUT], theta[-OUT:]
            weight = weight.view(OUT, IN, 3, 3)
            outputs.append(F.conv2d(image[None], weight, bias, padding=1)[0])
        images.append(torch.cat(outputs))
    return torch.stack(images)


@pytest.mark.parametrize('data_dependent', [False, True])
def test_low_rank_is_a_product_in_the_place_of_w2(data_dependent):
    """W2 = sqrt(m) V U."""
    lean = build(torch.float64, rank=2, data_dependent=data_dependent)
    full = build(torch.float64, data_dependent=data_dependent)
    state = lean.state_dict()
    product = state['residual_layer.weight'] @ state.pop('basis_layer.weight')
    state['residual_layer.weight'] = product * math.sqrt(HIDDEN)
    full.load_state_dict(state)
    feat = torch.randn(2, IN, 5, 4, dtype=torch.float64)
    codes = torch.randn(6, 2, dtype=torch.float64)
    torch.testing.assert_close(
        lean([feat], [codes])[0], full([feat], [codes])[0]
    )


def test_size_of_a_low_rank():
    """At 80 classes and 256 channels, for classes and for boxes."""
    sizes = []
    for outputs in (80, 4):
        lean = MODELS.build(
            dict(
                type='AnchorFunctionGenerator',
                in_channels=256,
                out_channels=outputs,
                rank=8,
            )
        )
        total = sum(p.numel() for p in lean.parameters())
        sizes.append(total - sum(p.numel() for p in lean.shared.parameters()))
    # W11, U and V, whose rows are the kernel and the bias of a prior
    assert sizes == [
        2 * 128 + 128 * 8 + 8 * (256 * 9 + 1) * outputs for outputs in (80, 4)
    ]
    assert sum(sizes) < 3e6


@pytest.mark.parametrize('rank', [0, -1])
def test_refuses_rank(rank):
    with pytest.raises(ValueError, match=f'positive number, got {rank}'):
        build(rank=rank)


@pytest.mark.parametrize('kernel_size', [0, 2, 4, -1])
def test_refuses_kernel_size(kernel_size):
    with pytest.raises(
        ValueError, match=f'odd and positive, got {kernel_size}'
    ):
        build(kernel_size=kernel_size)


@pytest.mark.parametrize('kernel_size', [1, 5])
def test_odd_kernels_keep_the_size_of_the_map(kernel_size):
    generator = build(kernel_size=kernel_size)
    out = generator([torch.randn(1, IN, 6, 5)], [torch.randn(2, 2)])[0]
    assert out.shape == (1, 2 * OUT, 6, 5)


@pytest.mark.parametrize('hidden_channels', [0, -1])
def test_refuses_hidden_channels(hidden_channels):
    with pytest.raises(
        ValueError, match=f'positive number, got {hidden_channels}'
    ):
        build(hidden_channels=hidden_channels)


@pytest.mark.parametrize('bends', [False, True])
@pytest.mark.parametrize('form', ['weights', 'mixture'])
@pytest.mark.parametrize('data_dependent', [False, True])
def test_equals_the_formula_and_its_gradient(data_dependent, form, bends):
    generator = build(torch.float64, data_dependent=data_dependent, form=form)
    if bends:
        torch.nn.init.normal_(generator.bends)
    feat = torch.randn(2, IN, 5, 4, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(6, 2, dtype=torch.float64)
    inputs = [feat, *generator.parameters()]
    out = generator([feat], [codes])[0]
    plain = plain_forward(generator, feat, codes)
    torch.testing.assert_close(out, plain)
    direction = torch.randn_like(out)
    for ours, theirs in zip(
        torch.autograd.grad((out * direction).sum(), inputs),
        torch.autograd.grad((plain * direction).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('form', ['weights', 'mixture'])
@pytest.mark.parametrize('data_dependent', [False, True])
def test_gradcheck(data_dependent, form):
    generator = build(
        torch.float64, rank=2, data_dependent=data_dependent, form=form
    )
    names, params = zip(*generator.named_parameters(), strict=True)
    feat = torch.randn(2, IN, 3, 3, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(2, 2, dtype=torch.float64)

    def function(feat, *params):
        return torch.func.functional_call(
            generator,
            dict(zip(names, params, strict=True)),
            ([feat], [codes]),
        )[0]

    # fast_mode projects the Jacobian on random vectors: seconds become ms.
    assert torch.autograd.gradcheck(function, (feat, *params), fast_mode=True)


def test_residuals_span_at_most_m_dimensions():
    generator = build(torch.float64)
    codes = torch.randn(500, 2, dtype=torch.float64)
    shared = theta_of(generator, codes.new_zeros(1, 2))  # relu(c) - relu(c)
    residuals = theta_of(generator, codes) - shared
    # 500 codes in 4 * 3 * 9 + 3 = 111 dimensions, through 8 hidden units
    assert residuals.shape == (500, 111)
    assert torch.linalg.matrix_rank(residuals) == HIDDEN


def test_without_w2_every_anchor_function_is_the_shared_one():
    generator = build()
    torch.nn.init.zeros_(generator.residual_layer.weight)
    feat = torch.randn(2, IN, 6, 6)
    out = generator([feat], [torch.randn(5, 2)])[0]
    shared = generator.shared(feat)
    torch.testing.assert_close(out, shared.repeat(1, 5, 1, 1))


def test_a_new_generator_starts_from_the_shared_function():
    generator = MODELS.build(
        dict(type='AnchorFunctionGenerator', in_channels=4, out_channels=2)
    )
    generator.init_weights()
    assert generator.residual_layer.weight.count_nonzero() == 0
    assert generator.code_layer.weight.count_nonzero() > 0


def test_units_are_spread_evenly():
    """Of any disc in the plane, bends cross what its width says."""
    weight, bends = spread_units(128)
    lengths = weight.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 3**-0.5))
    distances = (bends / lengths).sort().values
    # 128 steps from -log 2 to log 2
    torch.testing.assert_close(
        distances.diff(),
        torch.full((127,), 2 * math.log(2) / 128, dtype=torch.float64),
    )
    # A circle of radius 0.2 around any point near the middle is crossed by
    # about 128 * 0.2 / log 2 = 37 lines.
    for center in ([0.0, 0.0], [0.3, 0.0], [0.0, -0.3], [-0.2, 0.2]):
        center = torch.tensor(center, dtype=torch.float64)
        away = ((weight @ center + bends) / lengths).abs()
        assert 30 < (away < 0.2).sum() < 44


def test_a_checkpoint_without_c_has_none():
    trained, other = build(), build()
    torch.nn.init.normal_(other.bends)
    state = trained.state_dict()
    del state['bends']
    other.load_state_dict(state)
    codes = torch.randn(5, 2)
    torch.testing.assert_close(
        theta_of(other, codes), theta_of(trained, codes)
    )


@pytest.mark.parametrize(
    'changes', [dict(hidden_channels=7), dict(out_channels=5)], ids=str
)
def test_a_full_w2_that_does_not_fit_changes_nothing(changes):
    other, generator = build(rank=None, **changes), build(rank=2)
    codes = torch.randn(5, 2)
    before = theta_of(generator, codes)
    with pytest.raises(ValueError, match='W2 of the checkpoint is of rank No'):
        generator.load_state_dict(other.state_dict(), strict=False)
    assert generator.rank == 2
    assert torch.equal(theta_of(generator, codes), before)


def test_c_is_not_learnt():
    """A generator that starts from nothing is the paper's to the end."""
    generator = build()
    assert 'bends' not in dict(generator.named_parameters())
    assert not generator.bends.any()


@torch.no_grad()
def test_between_two_equal_functions_is_no_other():
    """Without c, what is halfway between them would be theta*."""
    # Two squares and ratios of 2 and 3, as a level of SSD has them.
    squares = [[0.17, 0.17], [-0.17, -0.17]]
    others = [[0.18, -0.52], [-0.52, 0.18], [0.38, -0.72], [-0.72, 0.38]]
    codes = torch.tensor(squares + others)
    wanted = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    generator = build(rank=8, hidden_channels=128)
    kernel = torch.ones(OUT, *generator.shared.weight.shape[1:])
    state, error = interpolate(
        generator,
        codes,
        (wanted[:, None, None, None, None] * kernel).flatten(0, 1),
        torch.zeros(len(codes) * OUT),
    )
    assert error < 1e-6
    generator.load_state_dict(state)
    kernel, _ = generator.kernels_and_biases(torch.zeros(1, 2))
    halfway = kernel.mean().item()
    assert halfway == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize('data_dependent', [False, True])
def test_a_set_of_priors_gives_what_its_members_give(data_dependent):
    generator = build(data_dependent=data_dependent)
    feat, codes = torch.randn(2, IN, 6, 5), torch.randn(7, 2)
    together = generator([feat], [codes])[0]
    alone = [generator([feat], [code[None]])[0] for code in codes]
    torch.testing.assert_close(
        together, torch.cat(alone, dim=1), rtol=0, atol=1e-5
    )


def test_batch_equals_its_images_one_by_one():
    generator = build(data_dependent=True)
    feat, codes = torch.randn(3, IN, 6, 5), torch.randn(4, 2)
    together = generator([feat], [codes])[0]
    alone = [generator([image[None]], [codes])[0] for image in feat]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_data_dependent_weights_depend_on_the_image():
    generator = build(data_dependent=True)
    codes = torch.randn(1, 2)
    pooled = torch.randn(2, IN)
    theta = theta_of(generator, codes, pooled)
    assert not torch.allclose(theta[0], theta[1])


def test_levels_of_equal_codes_are_generated_once(monkeypatch):
    generator = build(form='weights')
    asked = []
    original = generator.kernels_and_biases

    def count(codes, pooled=None):
        asked.append(len(codes))
        return original(codes, pooled)

    monkeypatch.setattr(generator, 'kernels_and_biases', count)
    codes = torch.randn(3, 2)
    levels = [codes, codes[:1], codes.clone()]
    feats = [torch.randn(1, IN, 4, 4)] * 3
    outs = generator(feats, levels)
    assert asked == [3 + 1]
    for out, level in zip(outs, levels, strict=True):
        torch.testing.assert_close(
            out, plain_forward(generator, feats[0], level)
        )


@pytest.mark.parametrize('form', ['cheaper', 'weights', 'mixture'])
def test_levels_must_match(form):
    with pytest.raises(ValueError, match='zip'):
        build(form=form)([torch.randn(1, IN, 4, 4)], [torch.randn(1, 2)] * 2)


def maps_of_boxes(codes):
    """A scale and a shift of every output, that differ between priors."""
    steps = torch.arange(1.0, OUT + 1)
    return (codes[:, :1] * steps).exp(), codes.sum(1, keepdim=True) + steps


class TestForms:
    """Generated weights and the mixture are two ways to the same outputs."""

    @pytest.mark.parametrize('number', [1, 9, 200])
    @pytest.mark.parametrize('rank', [None, 2])
    @pytest.mark.parametrize('output_map', [None, maps_of_boxes])
    @pytest.mark.parametrize('data_dependent', [False, True])
    @pytest.mark.parametrize(
        ('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
    )
    def test_same_outputs_and_gradients(
        self, number, rank, output_map, data_dependent, dtype, tolerance
    ):
        functions = build(
            dtype,
            rank=rank,
            output_map=output_map,
            data_dependent=data_dependent,
        )
        feats = [
            torch.randn(2, IN, 5, 4, dtype=dtype, requires_grad=True),
            torch.randn(2, IN, 3, 2, dtype=dtype, requires_grad=True),
        ]
        # Levels may hold other priors, and other numbers of them.
        codes = [torch.randn(number, 2), torch.randn(number + 1, 2) / 2]
        inputs = [*feats, *functions.parameters()]
        results = {}
        for form in ('weights', 'mixture'):
            functions.form = form
            outs = functions(feats, codes)
            torch.manual_seed(0)
            total = sum((out * torch.randn_like(out)).sum() for out in outs)
            results[form] = *outs, *torch.autograd.grad(total, inputs)
        for ours, theirs in zip(*results.values(), strict=True):
            # relative to the largest: sums cancel
            torch.testing.assert_close(
                ours,
                theirs,
                rtol=0,
                atol=tolerance * float(theirs.abs().max()),
            )

    @pytest.mark.parametrize('number', [1, 3, 4, 5, 9, 60])
    @pytest.mark.parametrize('rank', [1, 3, None])
    @pytest.mark.parametrize('size', [(1, 2), (12, 10)])
    @pytest.mark.parametrize('data_dependent', [False, True])
    def test_the_cheaper_one_is_computed(
        self, number, rank, size, data_dependent
    ):
        functions = build(rank=rank, data_dependent=data_dependent).eval()
        feats = [torch.randn(2, IN, *size)] * 2
        codes = [torch.randn(number, 2)] * 2
        flops = {}
        for form in ('weights', 'mixture', 'cheaper'):
            functions.form = form
            functions.eval()  # to forget what the other form has generated
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                functions(feats, codes)
            flops[form] = counter.get_total_flops()
        # The counter sees the hidden layer, too, once a level or once for
        # both: 2 (2 m + m r) multiplications a prior, and as many additions.
        spare = 2 * number * (4 + IN) * HIDDEN * (2 + (rank or 0)) * 2
        cheaper = min(flops['weights'], flops['mixture'])
        assert flops['cheaper'] <= cheaper + spare
        assert flops['cheaper'] in (flops['weights'], flops['mixture'])

    def test_stock_numbers(self):
        """RetinaNet's: K = 2304 and rank 8, with many places.

        Weights are A K = 9 * 2304 = 20736 multiplications a place, and the
        mixture (1 + 8)(2304 + 9) = 20817; of 10 priors 23040 and 20826.
        """
        functions = MODELS.build(
            dict(
                type='AnchorFunctionGenerator',
                in_channels=256,
                out_channels=1,
            )
        ).to('meta')
        feat = torch.randn(1, 256, 100, 152, device='meta')
        for number, mixture in ((9, False), (10, True)):
            assert functions._mixture_is_cheaper([feat], [number]) == mixture

    @pytest.mark.parametrize('data_dependent', [False, True])
    def test_what_is_prepared_serves_any_priors(
        self, data_dependent, monkeypatch
    ):
        functions = build(
            rank=2, output_map=maps_of_boxes, data_dependent=data_dependent
        )
        feats = [torch.randn(2, IN, 6, 5), torch.randn(2, IN, 3, 3)]
        codes = [torch.randn(40, 2), torch.randn(40, 2)]
        together = functions(feats, codes)
        prepared = functions.prepare(feats, [40, 40])
        monkeypatch.setattr(F, 'conv2d', None)  # from here on only mixtures
        alone = [
            functions(prepared, [code[part] for code in codes])
            for part in torch.arange(40).split(9)
        ]
        for whole, *parts in zip(together, *alone, strict=True):
            # Relative to the largest: sums of products cancel.
            tolerance = 1e-6 * float(whole.abs().max())
            torch.testing.assert_close(
                whole, torch.cat(parts, dim=1), rtol=0, atol=tolerance
            )

    def test_nothing_is_prepared_for_few_priors(self):
        functions = build(rank=2)
        feats = [torch.randn(2, IN, 9, 9)]
        assert functions.prepare(feats, [2]) is feats

    def test_a_batch_of_none(self):
        for form in ('weights', 'mixture', 'cheaper'):
            functions = build(rank=2, form=form, output_map=maps_of_boxes)
            out = functions([torch.randn(0, IN, 4, 4)], [torch.randn(5, 2)])[0]
            assert out.shape == (0, 5 * OUT, 4, 4)

    def test_refuses_another(self):
        with pytest.raises(ValueError, match="form must be .* got 'fast'"):
            build(form='fast')


@pytest.mark.parametrize('form', ['weights', 'mixture'])
@pytest.mark.parametrize('data_dependent', [False, True])
def test_bfloat16_autocast_keeps_the_generator_in_single_precision(
    data_dependent, form
):
    generator = build(rank=2, data_dependent=data_dependent, form=form)
    feat, codes = torch.randn(2, IN, 6, 6), torch.randn(3, 2)
    exact = generator([feat], [codes])[0]
    with torch.autocast('cpu', torch.bfloat16):
        pooled = feat.mean((2, 3)) if data_dependent else None
        assert theta_of(generator, codes, pooled).dtype == torch.float32
        out = generator([feat], [codes])[0]
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    for param in generator.parameters():
        assert param.grad.dtype == torch.float32
        assert param.grad.isfinite().all()
    # bfloat16 holds 8 bits, and 36 products of size about 1 are summed.
    torch.testing.assert_close(out.float(), exact, rtol=0.05, atol=0.3)


def test_half_precision_model():
    generator = build().bfloat16().eval()
    codes = torch.randn(3, 2)
    assert theta_of(generator, codes).dtype == torch.float32
    feat = torch.randn(1, IN, 4, 4, dtype=torch.bfloat16)
    assert generator([feat], [codes])[0].dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu_equals_cpu():
    generator = build().eval()
    feat, codes = torch.randn(2, IN, 6, 5), torch.randn(4, 2)
    with torch.no_grad():
        expected = generator([feat], [codes])[0]
        generator.cuda()
        out = generator([feat.cuda()], [codes])[0]
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_devices_without_autocast():
    """Such as 'mps' before PyTorch 2.5; 'meta' is one in all versions."""
    functions = MODELS.build(
        dict(type='AnchorFunctionGenerator', in_channels=4, out_channels=2)
    ).to('meta')
    theta = theta_of(functions, torch.zeros(5, 2, device='meta'))
    # Kernels of 2 x 4 x 3 x 3 and 2 biases.
    assert theta.shape == (5, 74)
