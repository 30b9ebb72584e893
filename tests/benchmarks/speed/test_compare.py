import json
import resource
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from benchmarks.speed import compare
from benchmarks.speed.costs import (
    count_flops,
    count_parameters,
    peak_memory,
)
from benchmarks.speed.report import (
    cost_table,
    speed_table,
    write_speed_report,
)
from benchmarks.speed.variants import (
    RUNS,
    VARIANTS,
    Settings,
    build_variant,
    make_run,
    read_configs,
    set_precision,
)

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings((64, 96), 1, 2)
# Of the tiny model: 9 priors, 8 channels, 3x3 kernels, 2 classes, 4 deltas;
# numbers of one prior's anchor functions, and hidden units.
PRIORS = 9
THETA = 2 * (8 * 9 + 1) + 4 * (8 * 9 + 1)
HIDDEN = 128


@pytest.fixture
def configs(tmp_path, tiny_data, tiny_config, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(tiny_data))
    found = []
    for kind in ('retinanet', 'meta-retinanet'):
        path = tmp_path / f'{kind}.py'
        base = ROOT / 'configs' / 'custom' / f'{kind}_r18-w32_custom.py'
        path.write_text(tiny_config(config=base))
        found.append(Config.fromfile(path))
    return tuple(found)


@pytest.fixture
def no_process(monkeypatch):
    """No memory is measured, which takes a process of its own: quicker."""
    monkeypatch.setattr(compare, 'peak_memory', lambda name, cfg, settings: {})


def build(name, configs):
    cfg, model = build_variant(name, configs, 'cpu')
    return model, make_run('inference', cfg, model, SETTINGS)


@pytest.mark.parametrize(
    ('priors', 'ratios'),
    [
        (9, [1 / 2, 1, 2]),
        (25, [1 / 3, 1 / 2, 1, 2, 3]),
        (81, [1 / 5, 1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4, 5]),
    ],
)
def test_stock_and_ours_have_the_grid_of_the_paper(priors, ratios):
    for cfg in read_configs(priors):
        grid = cfg.model.bbox_head.anchor_generator
        assert grid.scales_per_octave == len(ratios)
        assert grid.ratios == pytest.approx(ratios)


def test_parameters_of_the_full_generator(configs):
    stock, _ = build('stock', configs)
    ours, _ = build('full', configs)
    # Stock has THETA for every prior. Ours has theta*, W2 and, for classes
    # and deltas each, W11.
    assert count_parameters(ours) - count_parameters(stock) == (
        THETA + HIDDEN * THETA + 2 * HIDDEN * 2 - PRIORS * THETA
    )


def test_inference_has_the_operations_of_stock(configs):
    """From the second image on; what was generated for the first is kept."""
    stock, full = (
        count_flops(build(name, configs)[1]) for name in ('stock', 'full')
    )
    assert full == stock


def test_baked_is_a_stock_model(configs):
    stock, _ = build('stock', configs)
    baked, _ = build('baked', configs)
    assert type(baked.bbox_head) is type(stock.bbox_head)
    assert count_parameters(baked) == count_parameters(stock)


def test_a_training_step_trains_nothing(configs):
    cfg, model = build_variant('default', configs, 'cpu')
    before = [param.clone() for param in model.parameters()]
    gradients = []
    model.bbox_head.retina_cls.residual_layer.weight.register_hook(
        gradients.append
    )
    make_run('training step', cfg, model, SETTINGS)()
    assert gradients[0].any()
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize(
    ('name', 'rank'), [('assigner', 8), ('rank4-assigner', 4)]
)
def test_assigner_is_ours_with_the_thresholds_of_stock(configs, name, rank):
    stock, _ = build_variant('stock', configs, 'cpu')
    _, model = build_variant(name, configs, 'cpu')
    assert model.bbox_head.retina_cls.rank == rank
    assigner = model.bbox_head.assigner
    assert type(assigner).__name__ == 'FasterRCNNAssigner'
    for name in ('pos_iou_thr', 'neg_iou_thr'):
        assert getattr(assigner, name) == stock.model.train_cfg.assigner[name]


def test_bf16_is_of_the_network_alone(configs):
    cfg, model = build_variant('default', configs, 'cpu')
    kinds = []
    model.bbox_head.cls_convs.register_forward_hook(
        lambda module, inputs, output: kinds.append(output.dtype)
    )
    model.bbox_head.register_forward_hook(
        lambda module, inputs, outputs: kinds.append(outputs[0][0].dtype)
    )
    settings = Settings((64, 96), 1, 1, dtype='bf16')
    set_precision(model, settings)
    for what in RUNS:
        kinds.clear()
        make_run(what, cfg, model, settings)()
        # The hook of set_precision came last.
        assert set(kinds) == {torch.bfloat16}
        outputs = model.bbox_head([torch.ones(1, 8, 2, 2)] * 5)
        assert {level.dtype for maps in outputs for level in maps} == {
            torch.float32
        }


@pytest.mark.parametrize('name', VARIANTS)
def test_measures_every_pair_of_every_run(configs, no_process, name):
    cell = compare.measure(name, configs, SETTINGS, name)
    if name == 'stock':
        assert cell['seconds'] == {}
        return
    assert list(cell['seconds']) == list(VARIANTS[name].runs)
    for pairs in cell['seconds'].values():
        assert len(pairs) == SETTINGS.pairs
        assert all(second > 0 for pair in pairs for second in pair)


def test_memory_of_a_process_of_its_own(configs):
    held = bytearray(10**9)
    held[::4096] = b'1' * len(held[::4096])  # every page is there
    peaks = peak_memory('default', configs[1], SETTINGS)
    assert list(peaks) == list(RUNS)
    assert 0 < peaks['inference'] <= peaks['training step']
    # Both have Python and the libraries, and the model is next to nothing.
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    ours = pages * resource.getpagesize()
    assert peaks['training step'] < ours - len(held) / 2


def test_goes_on_after_an_interruption(tmp_path, monkeypatch):
    measured = []

    def measure(name, configs, settings, label):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(label)
        return dict(parameters=1, flops=1, memory={}, seconds={})

    def run(settings=SETTINGS):
        return compare.compare_variants(
            path, [9, 25], ['default', 'full'], settings, lambda number: None
        )

    path = tmp_path / 'new' / 'speed.json'
    monkeypatch.setattr(compare, 'measure', measure)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(json.loads(path.read_text())['cells']) == 3
    measured.append('the interruption')
    content = run()
    assert content == json.loads(path.read_text())
    labels = [
        f'{number} priors, {name}'
        for number in (9, 25)
        for name in ('stock', 'default', 'full')
    ]
    measured.remove('the interruption')
    assert measured == labels
    assert run() == content
    assert measured == labels
    with pytest.raises(ValueError, match=r'other settings \(pairs\)'):
        run(Settings((64, 96), 1, 3))


@pytest.fixture
def content():
    """Results of 9 priors, written through JSON as in a file."""
    cells = [
        dict(
            priors=9,
            variant='baked',
            commit='abc',
            parameters=2_000_000,
            flops=3 * 10**9,
            memory={'inference': 4_000_000},
            # ratios 2, 3 and 1; of the seconds, medians 1 and 2
            seconds={'inference': [(1, 2), (1, 3), (2, 2)]},
        ),
        dict(
            priors=9,
            variant='stock',
            commit='def',
            parameters=1_000_000,
            flops=None,
            memory={},
            seconds={},
        ),
    ]
    settings = dict(
        image_size=(64, 96),
        batch_size=1,
        pairs=3,
        dtype='fp32',
        compile=False,
        device='cpu',
        warm_up=3,
        threads=1,
        machine=dict(device='CPU', cores=2),
        versions=dict(torch='2'),
    )
    return json.loads(json.dumps(dict(settings=settings, cells=cells)))


def test_tables_hold_medians_and_ranges(content):
    _, stock, baked = speed_table(content['cells'])
    assert stock == ['9', 'stock', '1.000', *[''] * 5]
    assert baked == (
        ['9', 'baked', '2.000', '2.000', '1.000 to 3.000', *[''] * 3]
    )
    _, stock, baked = cost_table(content['cells'])
    assert stock == ['9', 'stock', '1.00', *[''] * 3]
    assert baked == ['9', 'baked', '2.00', '3.0', '4', '']


def test_report(content, tmp_path):
    write_speed_report(tmp_path, content)
    text = (tmp_path / 'speed.md').read_text()
    assert '64x96 px, fp32.\nCPU, 2 CPU cores, threads: 1.' in text
    assert '| 9 | baked | 2.000 | 2.000 | 1.000 to 3.000 |' in text
    assert 'Commits of mmdet_metaanchor: abc, def' in text
    assert (tmp_path / 'speed.png').read_bytes().startswith(b'\x89PNG')
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        'speed.md',
        'speed.png',
    ]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--image-size', 0, 96], 'image_size must be positive, got (0, 96)'),
        (['--batch-size', -1], 'batch_size must be positive, got -1'),
        (['--pairs', 0], 'pairs must be positive, got 0'),
    ],
)
def test_refuses_sizes_that_are_not_positive(fail, words, message):
    assert message in fail('speed', *words)


def test_refuses_results_of_other_settings(fail, tmp_path):
    (tmp_path / 'speed.json').write_text('{"settings": {"pairs": 1}}')
    line = fail('speed', '--out', tmp_path, '--pairs', 2)
    assert 'other settings' in line
    assert 'pairs' in line


@pytest.mark.parametrize('option', ['--variants', '--priors', '--dtype'])
def test_refuses_unknown_choices(option, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['speed', option, '7'])
    with pytest.raises(SystemExit):
        runpy.run_module('benchmarks.speed', run_name='__main__')
    line = capsys.readouterr().err.splitlines()[-1]
    assert f'argument {option}: invalid choice' in line
    assert '7' in line
