# What could make MetaAnchor better on licence plates, where it trails: tried
# on a part of the training images:
#   python -m benchmarks.quality benchmarks/grids/tries.py
_base_ = './rivals.py'
# An import above `_base_` would make MMEngine take this for a lazy config.
from mmdet_metaanchor.method.anchor_weights import INIT_CFG

results = 'benchmarks/results/tries'
detectors = dict(
    digits='benchmarks/configs/meta-retinanet_r18-w16-default_digits.py'
)
# Beside the part, what the best was tested on elsewhere, as in digits.py and
# photographs.py.
data = dict(
    _delete_=True,
    part=dict(env=dict(DATA_ROOT='data/photographs/plates-part')),
    steel=dict(env=dict(DATA_ROOT='data/photographs/neu-square')),
    digits=dict(
        env=dict(DIGITS_ROOT='data/benchmark/digits'),
        make=dict(size_range=(16, 80), ratio_range=(0.5, 2)),
    ),
    tall=dict(
        env=dict(DIGITS_ROOT='data/benchmark/tall'),
        make=dict(size_range=(16, 80), ratio_range=(2, 4), num_train=50),
    ),
)
anchors = {'9x9': dict(octave_base_scale=2, **_base_.grids['9x9'])}


def _of(name, head=None, imports=(), rates=None, rate=None, assigner=None):
    """A variant of rivals.py, with another head or assigner, on the part.

    Parameters learn at ``rates`` times the learning rate, by their names;
    ``rate`` takes the place of that of the config.
    """
    variant = _base_.variants[f'plates-{name}'].to_dict()
    settings = variant['settings']
    if imports:
        settings['custom_imports']['imports'] += imports
    if rates:
        settings['optim_wrapper']['paramwise_cfg'] = dict(
            custom_keys={key: dict(lr_mult=rates[key]) for key in rates}
        )
    if rate:
        settings['optim_wrapper']['optimizer'] = dict(lr=rate)
    model = settings.setdefault('model', dict(bbox_head={}))
    model['bbox_head'].update(head or {})
    if assigner:
        model['train_cfg'] = dict(assigner=assigner)
    return dict(variant, data='part')


# All of them wide: no plate is higher than half of its width.
wide = dict(
    anchor_generator=dict(scales_per_octave=3, ratios=[0.2, 0.32, 0.5])
)
ablations = ['benchmarks.quality.ablations']
even = dict(
    custom_imports=dict(
        imports=[
            'mmdet_metaanchor',
            *ablations,
            'benchmarks.quality.half_precision',
        ]
    ),
    model=dict(bbox_head=dict(type='EvenRetinaHead')),
)
strong = dict(
    rank=8,
    init_cfg=dict(
        INIT_CFG,
        override=[
            INIT_CFG['override'],
            dict(type='Uniform', name='basis_layer', a=-0.27, b=0.27),
        ],
    ),
)
limits = dict(
    most=dict(at_most=3),
    least3=dict(at_least=3),
    least=dict(at_least=9),
    both=dict(at_least=9, at_most=9),
)
# As of photographs.py.
schedule = _base_.variants['plates-stock-single'].settings.to_dict()
del schedule['model']
variants = dict(
    _delete_=True,
    **{
        'stock': _of('stock-3x3'),
        'meta': _of('meta-3x3'),
        'stock-single': _of('stock-single'),
        'meta-single': _of('meta-single'),
        # theta* is the function of an anchor that finds plates, of a ratio of
        # 0.5 and of middle size, (AH, AW) in px.
        'standard': _of(
            'meta-3x3',
            dict(
                anchor_generator=dict(
                    _base_.grids['3x3'], standard_box=(14.25, 28.5)
                )
            ),
        ),
        # Sizes of boxes in units of the standard box, too: the anchor is no
        # guess of the size.
        'absolute': _of('meta-3x3', dict(box_function='absolute')),
        'rank16': _of('rank16'),
        'full': _of('rankfull'),
        # A sum, theta* + R(b), moves further in a step than stock's filters.
        'quarter': _of('meta-3x3', rates=dict(retina_=0.25)),
        # U three times as large at the start, and the residual with it.
        'strong': _of('meta-3x3', dict(anchor_function=strong)),
        # The anchors begin as different as stock's.
        'even': _of('meta-3x3', dict(type='EvenRetinaHead'), ablations),
        'even-half': _of(
            'meta-3x3', dict(type='EvenRetinaHead', pace=0.5), ablations
        ),
        # Those of boxes alone, or of classes alone.
        **{
            f'even-{name}': _of(
                'meta-3x3',
                dict(type='EvenRetinaHead', only=f'retina_{name}'),
                ablations,
            )
            for name in ('reg', 'cls')
        },
        'even-slow': _of(
            'meta-3x3',
            dict(type='EvenRetinaHead'),
            ablations,
            dict(code_layer=0.1, basis_layer=0.1),
        ),
        'even-digits': dict(detector='digits', data='digits', settings=even),
        'even-steel': dict(
            detector='meta',
            data='steel',
            settings=dict(schedule, **even),
        ),
        # The config has 0.001.
        'stock-0.002': _of('stock-3x3', rate=0.002),
        'meta-0.002': _of('meta-3x3', rate=0.002),
        'stock-four': _of('stock-3x3', rates=dict(retina_=4.0)),
        'stock-wide': _of('stock-3x3', wide),
        'meta-wide': _of('meta-3x3', wide),
        'stock-9x9': _of('stock-9x9'),
        'meta-9x9': _of('meta-9x9'),
        # As many anchors for small plates as for large ones.
        **{
            f'{name}-{bounds}': _of(
                name if '9x9' in name else f'{name}-3x3',
                imports=ablations,
                assigner=dict(type='EvenMaxIoUAssigner', **limits[bounds]),
            )
            for name, *several in (
                ('meta-9x9', 'most', 'least', 'both'),
                ('stock-9x9', 'least'),
                ('meta', 'least3', 'least'),
                ('stock', 'least3', 'least'),
            )
            for bounds in several
        },
    },
)
sizes = ('mAP', 'mAP_s', 'mAP_m')  # of all, small and medium objects
tables = dict.fromkeys(_base_.tables) | dict(
    tries=dict(
        title='Licence plates, a part of the training images held back',
        columns=['mAP', 'mAP_50', 'mAP_75'],
        rows=[
            [
                label,
                *(
                    [name, 'part', 'trained', metric]
                    for metric in ('mAP', 'mAP_50', 'mAP_75')
                ),
            ]
            for label, name in {
                'stock': 'stock',
                'MetaAnchor': 'meta',
                'stock, single precision': 'stock-single',
                'MetaAnchor, single precision': 'meta-single',
                'MetaAnchor, theta* of a wide anchor': 'standard',
                "MetaAnchor, box_function='absolute'": 'absolute',
                'MetaAnchor, W2 of rank 16': 'rank16',
                'MetaAnchor, full W2': 'full',
                'MetaAnchor, last layers at a quarter': 'quarter',
                'MetaAnchor, U three times as large': 'strong',
                'MetaAnchor, anchors part as fast as stock': 'even',
                'the same, U and W11 at a tenth of the rate': 'even-slow',
                'MetaAnchor, anchors part at half of that': 'even-half',
                'MetaAnchor, boxes alone part as fast as stock': 'even-reg',
                'MetaAnchor, classes alone part as fast': 'even-cls',
                'stock, last layers at four times the rate': 'stock-four',
                'stock, learning rate 0.002': 'stock-0.002',
                'MetaAnchor, learning rate 0.002': 'meta-0.002',
                'stock, wide anchors': 'stock-wide',
                'MetaAnchor, wide anchors': 'meta-wide',
            }.items()
        ],
        versus='row',
        check=['MetaAnchor', 'mAP'],
    ),
    positives=dict(
        title='Bounds for the positive anchors of an object',
        columns=[
            f'{side}, {metric}'
            for side in ('stock', 'MetaAnchor')
            for metric in sizes
        ],
        rows=[
            [
                label,
                *(
                    [name, 'part', 'trained', metric] if name else None
                    for name in pair
                    for metric in sizes
                ),
            ]
            for label, *pair in (
                ('3x3', 'stock', 'meta'),
                ('3x3, at least 3', 'stock-least3', 'meta-least3'),
                ('3x3, at least 9', 'stock-least', 'meta-least'),
                ('9x9', 'stock-9x9', 'meta-9x9'),
                ('9x9, at least 9', 'stock-9x9-least', 'meta-9x9-least'),
                ('9x9, 9 of each', None, 'meta-9x9-both'),
                ('9x9, at most 3', None, 'meta-9x9-most'),
            )
        ],
        versus='row',
        check=['9x9, at least 9', 'MetaAnchor, mAP'],
    ),
    elsewhere=dict(
        title='Anchors that part as fast as stock, elsewhere',
        columns=['as trained', 'with 9x9'],
        rows=[
            ['digits', 'even-digits', ['even-digits', 'digits', '9x9']],
            ['tall digits', ['even-digits', 'tall'], None],
            ['steel', 'even-steel', ['even-steel', 'steel', '9x9']],
        ],
        versus=None,
        check=['digits', 'as trained'],
    ),
)
pictures = dict(_delete_=True)
