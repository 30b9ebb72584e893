# Stock checkpoints as MetaAnchor: as they come, and trained on from there.
# BCCD_ROOT is a folder as for configs/custom; the photographs are made by
# `python -m benchmarks.photographs`:
#   python -m benchmarks.quality benchmarks/grids/from_stock.py
from os import environ

seeds = [0, 1, 2]
results = 'benchmarks/results/from_stock'
r18, mobilenet = 'retinanet_r18-w32_custom', 'retinanet_mobilenet-v2_custom'
detectors = {
    'digits-stock': 'benchmarks/configs/retinanet_r18-w16_digits.py',
    'digits-meta': (
        'benchmarks/configs/meta-retinanet_r18-w16-default_digits.py'
    ),
    'bccd-stock': f'configs/custom/{r18}.py',
    'bccd-meta': f'configs/custom/meta-{r18}.py',
    'plates-stock': f'configs/custom/{mobilenet}.py',
    'plates-meta': f'configs/custom/meta-{mobilenet}.py',
}
# As in digits.py, custom.py and photographs.py.
digits = dict(
    digits=dict(size_range=(16, 80), ratio_range=(0.5, 2)),
    tall=dict(size_range=(16, 80), ratio_range=(2, 4), num_train=50),
    wide=dict(size_range=(16, 80), ratio_range=(0.25, 0.5), num_train=50),
    large=dict(
        size_range=(80, 160),
        ratio_range=(0.5, 2),
        objects=(2, 6),
        num_train=50,
    ),
    small=dict(size_range=(10, 16), ratio_range=(0.5, 2), num_train=50),
)
photographs = ('plates', 'plates-us', 'plates-eu')
data = {
    **{
        name: dict(env=dict(DIGITS_ROOT=f'data/benchmark/{name}'), make=make)
        for name, make in digits.items()
    },
    'bccd': dict(env=dict(DATA_ROOT=environ.get('BCCD_ROOT', 'data/bccd'))),
    **{
        name: dict(env=dict(DATA_ROOT=f'data/photographs/{name}'))
        for name in photographs
    },
}
anchors = {
    '9x9': dict(
        octave_base_scale=2,
        scales_per_octave=9,
        ratios=[round(5 ** (i / 4 - 1), 4) for i in range(9)],
    )
}


def _schedule(epochs, warm_up=50):
    return dict(
        train_cfg=dict(max_epochs=epochs, val_begin=epochs + 1),  # no val
        param_scheduler=[
            dict(
                type='LinearLR', start_factor=0.01, by_epoch=False, end=warm_up
            ),
            dict(
                type='CosineAnnealingLR',
                T_max=epochs,
                convert_to_iter_based=True,
            ),
        ],
    )


one_worker = dict(num_workers=1)  # several trainings share the cores
# Of a full training: the epochs, and what differs from the detector's config.
epochs = dict(digits=10, bccd=15, plates=8)
full = dict(
    digits={},
    bccd=dict(
        model=dict(
            backbone=dict(base_channels=16),
            neck=dict(in_channels=[16, 32, 64, 128]),
        ),
        **_schedule(epochs['bccd']),
        train_dataloader=one_worker,
    ),
    plates=dict(
        **_schedule(epochs['plates']),
        train_dataloader=one_worker,
        val_dataloader=one_worker,
        test_dataloader=one_worker,
    ),
)


def _variants(name):
    """The trainings of one data set: from scratch, and from stock's."""

    def training(kind, length=None, **begin):
        settings = full[name]
        if length is not None:  # a shorter warm-up
            settings = dict(settings, **_schedule(length, warm_up=5))
        return dict(
            detector=f'{name}-{kind}', data=name, settings=settings, **begin
        )

    start = f'{name}-stock'
    lengths = (1, 3) if name == 'digits' else (1,)
    return {
        start: training('stock'),
        f'{name}-meta': training('meta'),
        f'{name}-imported': training('meta', start=start, trained=False),
        **{
            f'{name}-{was}-{length}': training(kind, length, start=start)
            for was, kind in (('imported', 'meta'), ('stock', 'stock'))
            for length in lengths
        },
        f'{name}-imported-full': training('meta', start=start),
        f'{name}-stock-full': training('stock', start=start),
    }


variants = {}
for _name in epochs:
    variants.update(_variants(_name))
tests = {
    'digits': list(digits),
    'bccd': ['bccd'],
    'plates': list(photographs),
}
kinds = {
    'imported': 'stock as MetaAnchor',
    'imported-1': 'and 1 epoch',
    'imported-full': 'and a full training',
    'meta': 'MetaAnchor from scratch',
}
stock_kinds = {
    'stock': 'stock',
    'stock-1': 'stock and 1 epoch',
    'stock-full': 'stock and a full training',
}


def _table(title, anchors, kinds, check):
    columns = stock_kinds if anchors == 'trained' else {'stock': 'stock'}
    return dict(
        title=title,
        columns=[*columns.values(), *kinds.values()],
        rows=[
            [
                test,
                *([f'{name}-{kind}', test] for kind in columns),
                *([f'{name}-{kind}', test, anchors] for kind in kinds),
            ]
            for name, sets in tests.items()
            for test in sets
        ],
        versus='column',
        check=check,
    )


tables = dict(
    trained=_table(
        'Stock checkpoints in: the anchors of the training',
        'trained',
        kinds,
        check=['digits', 'and 1 epoch'],
    ),
    clustered=_table(
        'Stock checkpoints in: clustered anchors (stock: its own)',
        'clustered',
        kinds,
        check=['plates-eu', 'and 1 epoch'],
    ),
    searched=_table(
        'Stock checkpoints in: clustered and searched (stock: its own)',
        'clustered+searched',
        {k: v for k, v in kinds.items() if k != 'imported-full'},
        check=['bccd', 'and 1 epoch'],
    ),
    lengths=dict(
        title='Stock checkpoints of the digits: how long to train on',
        columns=['stock', 'as MetaAnchor', 'tested with 9x9'],
        rows=[
            [
                label,
                f'digits-stock{end}',
                f'digits-imported{end}',
                [f'digits-imported{end}', 'digits', '9x9'],
            ]
            for label, end in (
                ('as it comes', ''),
                ('1 epoch', '-1'),
                ('3 epochs', '-3'),
                ('10 epochs', '-full'),
            )
        ],
        versus='column',
        check=['3 epochs', 'as MetaAnchor'],
    ),
)
