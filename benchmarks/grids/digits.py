# The tables of docs/benchmark-digits.md:
#   python -m benchmarks.quality benchmarks/grids/digits.py
seeds = [0, 1, 2]
results = 'benchmarks/results/digits'
detectors = dict(
    stock='benchmarks/configs/retinanet_r18-w16_digits.py',
    meta='benchmarks/configs/meta-retinanet_r18-w16_digits.py',
    default='benchmarks/configs/meta-retinanet_r18-w16-default_digits.py',
)
twins = ('stock', 'meta')  # which most tables compare

# Digits of 16 to 80 px, half to twice as high as wide, to learn from; and
# digits of other ratios and sizes, with 50 images to choose anchors on.
sets = dict(
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
data = {
    name: dict(env=dict(DIGITS_ROOT=f'data/benchmark/{name}'), make=settings)
    for name, settings in sets.items()
}

# Grids of the paper's extent: k scales per octave, k ratios up to the widest,
# evenly spaced in the log.
widest = {3: 2, 5: 3, 7: 4, 9: 5}
grids = {
    f'{k}x{k}': dict(
        scales_per_octave=k,
        ratios=[round(w ** (2 * i / (k - 1) - 1), 4) for i in range(k)],
    )
    for k, w in widest.items()
}
thresholds = {'0.5': (0.5, 0.4), '0.6': (0.6, 0.5)}
# Anchors of tests, sizes in strides.
anchors = {
    **{
        name: dict(octave_base_scale=2, **grid) for name, grid in grids.items()
    },
    '1x1': dict(scales=[2.52], ratios=[1.0]),  # the middle one of 3x3
}


def _priors(kind, grid, positive, negative):
    """One of these grids under one of the pairs of thresholds."""
    assigner = dict(pos_iou_thr=positive, neg_iou_thr=negative)
    model = dict(
        bbox_head=dict(anchor_generator=grid),
        train_cfg=dict(assigner=assigner),
    )
    return dict(detector=kind, data='digits', settings=dict(model=model))


def _vary(kind='meta', lr=None, model=None, epochs=5, **layers):
    """3x3 anchors, 0.5/0.4, with other settings of model or optimiser.

    Layers are those whose names hold a word; they learn at a multiple of the
    pace of the others.
    """
    imports = ['mmdet_metaanchor', 'benchmarks.quality.ablations']
    settings = dict(custom_imports=dict(imports=imports))
    if epochs != 10:  # the detectors' own schedule
        settings['train_cfg'] = dict(max_epochs=epochs, val_begin=epochs + 1)
        settings['param_scheduler'] = [
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
            dict(
                type='CosineAnnealingLR',
                T_max=epochs,
                convert_to_iter_based=True,
            ),
        ]
    if model:
        settings['model'] = model
    if lr:
        settings['optim_wrapper'] = dict(optimizer=dict(lr=lr))
    if layers:
        pace = {name: dict(lr_mult=times) for name, times in layers.items()}
        settings['optim_wrapper'] = dict(paramwise_cfg=dict(custom_keys=pace))
    return dict(detector=kind, data='digits', settings=settings)


def _generator(epochs=5, **settings):
    model = dict(bbox_head=dict(anchor_function=settings))
    return _vary(model=model, epochs=epochs)


def _recoded(**settings):
    return _generator(type='RecodedAnchorFunctionGenerator', **settings)


def _anchors(epochs=5, **settings):
    model = dict(bbox_head=dict(anchor_generator=settings))
    return _vary(model=model, epochs=epochs)


def _shifted(title, meta, check):
    """A table of a detector on every set, with anchors chosen for it."""
    return dict(
        title=title,
        columns=['stock', 'MetaAnchor', 'clustered', 'clustered, searched'],
        rows=[
            [
                name,
                ['stock-3x3-0.5', name],
                [meta, name],
                [meta, name, 'clustered'],
                [meta, name, 'clustered+searched'],
            ]
            for name in sets
        ],
        versus='column',
        check=check,
    )


# Table 4's rule; the digits' sizes are from 13 to 64 px as the detector
# sees them.
without_sizes = dict(
    train_cfg=dict(
        assigner=dict(
            _delete_=True,
            type='ZeroLossAssigner',
            size_range=(20, 40),
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.4,
                min_pos_iou=0,
            ),
        )
    )
)
jitters = (0.1, 0.25, 0.5)
variants = {
    **{
        f'{kind}-{name}-{positive}': _priors(kind, grid, positive, negative)
        for name, grid in grids.items()
        for positive, negative in thresholds.values()
        for kind in twins
    },
    'default': dict(detector='default', data='digits', settings={}),
    **{
        f'default-{name}': dict(
            detector='default',
            data='digits',
            settings=dict(
                model=dict(bbox_head=dict(anchor_function=dict(rank=rank)))
            ),
        )
        for name, rank in (('rank4', 4), ('rank16', 16), ('full', None))
    },
    **{
        f'{k}-zero-loss': _vary(k, model=without_sizes, epochs=10)
        for k in twins
    },
    'data-dependent': _generator(data_dependent=True, epochs=10),
    'jitter0.5-long': _anchors(jitter=0.5, epochs=10),
    # What follows has half the schedule.
    **{f'{k}-short': _vary(k) for k in twins},
    **{f'{k}-short-lr0.004': _vary(k, 4e-3) for k in twins},
    'stock-short-last-x2': _vary('stock', retina_cls=2, retina_reg=2),
    'stock-short-last-x4': _vary('stock', retina_cls=4, retina_reg=4),
    **{f'{k}-short-zero-loss': _vary(k, model=without_sizes) for k in twins},
    'data-dependent-short': _generator(data_dependent=True),
    'rank8': _generator(rank=8),
    'm8': _generator(hidden_channels=8),
    'm32': _generator(hidden_channels=32),
    **{f'jitter{j}': _anchors(jitter=j) for j in jitters},
    'jitter0.25-normal': _anchors(
        type='NormalJitterAnchorGenerator', jitter=0.25
    ),
    # The mean of the anchors is 21.4 x 21.4 px.
    'standard-box-half': _anchors(standard_box=(10.7, 10.7)),
    'standard-box-double': _anchors(standard_box=(42.8, 42.8)),
    'no-residual': _vary(residual_layer=0),
    'residual-x0.1': _recoded(matrix=((0.1, 0), (0, 0.1))),
    'residual-x11': _recoded(matrix=((11.3, 0), (0, 11.3))),
    'generator-lr0.1': _vary(code_layer=0.1, residual_layer=0.1),
    'generator-lr4': _vary(code_layer=4, residual_layer=4),
    'scale-ratio': _recoded(matrix=((0.5, 0.5), (1, -1))),
}

base = 'meta-3x3-0.5'
ablations = {
    'meta-short': 'as configured: no jitter, m = 128',
    **{f'jitter{j}': f'jitter {j}, uniform' for j in jitters},
    'jitter0.25-normal': 'jitter 0.25, normal of the same variance',
    'm8': 'm = 8',
    'm32': 'm = 32',
    'standard-box-half': 'standard box half the mean',
    'standard-box-double': 'standard box twice the mean',
    'no-residual': 'no residual: all priors share one function',
    'residual-x0.1': 'residual divided by 10',
    'residual-x11': 'residual as in the paper, not divided by sqrt(m)',
    'generator-lr0.1': 'generator learns at a tenth',
    'generator-lr4': 'generator learns four times as fast',
    'scale-ratio': 'codes (scale, ratio)',
    'rank8': 'W2 of rank 8',
}
tables = dict(
    grids=dict(
        title='Grids and thresholds (Table 2)',
        columns=['stock', 'MetaAnchor'],
        rows=[
            [
                f'{grid}, {pos}/{neg}',
                f'stock-{grid}-{pos}',
                f'meta-{grid}-{pos}',
            ]
            for pos, neg in thresholds.values()
            for grid in grids
        ],
        versus='column',
        check=['3x3, 0.5/0.4', 'MetaAnchor'],
    ),
    pace=dict(
        title='Learning rate and schedule',
        columns=['stock', 'MetaAnchor'],
        rows=[
            ['10 epochs, lr 0.002', 'stock-3x3-0.5', base],
            ['5 epochs, lr 0.002', 'stock-short', 'meta-short'],
            [
                '5 epochs, lr 0.004',
                'stock-short-lr0.004',
                'meta-short-lr0.004',
            ],
            ['5 epochs, last layer 0.004', 'stock-short-last-x2', None],
            ['5 epochs, last layer 0.008', 'stock-short-last-x4', None],
        ],
        versus='column',
        check=['5 epochs, lr 0.002', 'MetaAnchor'],
    ),
    zero_loss=dict(
        title='Sizes without loss (Table 4)',
        columns=['stock', 'MetaAnchor', 'MetaAnchor, tested with 5x5'],
        rows=[
            ['all sizes', 'stock-3x3-0.5', base, [base, 'digits', '5x5']],
            [
                'none from 20 to 40 px',
                'stock-zero-loss',
                'meta-zero-loss',
                ['meta-zero-loss', 'digits', '5x5'],
            ],
            [
                'none from 20 to 40 px, 5 epochs',
                'stock-short-zero-loss',
                'meta-short-zero-loss',
                ['meta-short-zero-loss', 'digits', '5x5'],
            ],
        ],
        versus='column',
        check=['none from 20 to 40 px, 5 epochs', 'MetaAnchor'],
    ),
    data_dependent=dict(
        title='Weights that depend on the image (Table 6)',
        columns=['data-independent', 'data-dependent'],
        rows=[
            ['10 epochs', base, 'data-dependent'],
            ['5 epochs', 'meta-short', 'data-dependent-short'],
        ],
        versus='column',
        check=['5 epochs', 'data-independent'],
    ),
    crossed=dict(
        title='Trained with one grid, tested with others (Table 3)',
        columns=['as trained', *grids, 'searched'],
        rows=[
            [
                grid,
                f'meta-{grid}-0.5',
                *(
                    None
                    if test == grid
                    else [f'meta-{grid}-0.5', 'digits', test]
                    for test in (*grids, 'searched')
                ),
            ]
            for grid in grids
        ],
        versus='column',
        check=['3x3', '5x5'],
    ),
    jitter=dict(
        title='Jitter as published, full schedule',
        columns=['as trained', 'tested with 5x5', 'tested with 9x9'],
        rows=[
            [label, name, [name, 'digits', '5x5'], [name, 'digits', '9x9']]
            for name, label in (
                (base, 'no jitter'),
                ('jitter0.5-long', 'jitter 0.5, uniform'),
            )
        ],
        versus='row',
        check=['no jitter', 'tested with 5x5'],
    ),
    shifted=_shifted(
        'Other sizes and ratios, without training again (Table 5)',
        base,
        check=['tall', 'clustered'],
    ),
    default=dict(
        title='The defaults: other grids',
        columns=['as trained', 'clustered', *list(grids)[1:]],
        rows=[
            [
                label,
                name,
                *(
                    [name, 'digits', test]
                    for test in ('clustered', *list(grids)[1:])
                ),
            ]
            for label, name in (
                ('as above', base),
                ('defaults', 'default'),
                ('defaults, with a full W2', 'default-full'),
            )
        ],
        versus='row',
        check=['defaults', '9x9'],
    ),
    ranks=dict(
        title='The defaults: ranks of W2',
        columns=['as trained', 'tested with 9x9'],
        rows=[
            [label, name, [name, 'digits', '9x9']]
            for label, name in (
                ('rank 8', 'default'),
                ('rank 4', 'default-rank4'),
                ('rank 16', 'default-rank16'),
                ('full', 'default-full'),
            )
        ],
        versus='row',
        check=['full', 'as trained'],
    ),
    default_shifted=_shifted(
        'The defaults: other sizes and ratios',
        'default',
        check=['wide', 'clustered'],
    ),
    ablations=dict(
        title='Ablations, 5 epochs',
        columns=['as trained', 'tested with 5x5', 'tested with 1x1'],
        rows=[
            [label, name, [name, 'digits', '5x5'], [name, 'digits', '1x1']]
            for name, label in ablations.items()
        ],
        versus='row',
        check=['as configured: no jitter, m = 128', 'tested with 1x1'],
    ),
)
