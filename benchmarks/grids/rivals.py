# Photographs: stock and MetaAnchor RetinaNet with few anchors and with many,
# and what one would take instead. Trained in bfloat16 (5 minutes per run on a
# core with AVX512-BF16), tested in single precision. The data are prepared by
# `python -m benchmarks.photographs`:
#   python -m benchmarks.quality benchmarks/grids/rivals.py
seeds = [0, 1, 2]
results = 'benchmarks/results/rivals'
retinanet = 'retinanet_mobilenet-v2_custom'
detectors = dict(
    stock=f'configs/custom/{retinanet}.py',
    meta=f'configs/custom/meta-{retinanet}.py',
    fcos='benchmarks/configs/fcos_mobilenet-v2_custom.py',
    atss='benchmarks/configs/atss_mobilenet-v2_custom.py',
    ga=f'benchmarks/configs/ga-{retinanet}.py',
)
# Epochs, of 155, 54 and 26 iterations.
epochs = dict(neu=8, plates=8, bccd=15)
countries = ('plates-us', 'plates-eu')
data = {
    name: dict(env=dict(DATA_ROOT=f'data/photographs/{name}'))
    for name in (*epochs, *countries)
}
# As the paper's: the extent of a grid grows with its number.
grids = {
    '3x3': dict(scales_per_octave=3, ratios=[0.5, 1.0, 2.0]),
    '9x9': dict(
        scales_per_octave=9,
        ratios=[round(5 ** (i / 4 - 1), 4) for i in range(9)],
    ),
}
anchors = {'3x3': dict(octave_base_scale=2, **grids['3x3'])}
# The heads: MetaAnchor as the class has it, which is said because records of
# old that say nothing mean the other, and in the paper's form.
forms = dict(
    stock={},
    meta=dict(box_function='scaled', anchor_function=dict(rank=8)),
    published=dict(box_function='published', anchor_function=dict(rank=None)),
)
half = dict(
    custom_imports=dict(
        imports=['mmdet_metaanchor', 'benchmarks.quality.half_precision']
    ),
    optim_wrapper=dict(type='BFloat16OptimWrapper'),
)
# These imports take the place of those of the config.
guided = dict(
    half,
    custom_imports=dict(
        imports=[
            *half['custom_imports']['imports'],
            'benchmarks.quality.rivals',
        ]
    ),
)


def _variant(
    name,
    detector,
    head=None,
    precision=half,
    length=None,
    warm_up=50,
    assigner=None,
    **begin,
):
    loader = dict(num_workers=1)  # several trainings share the cores
    length = length or epochs[name]
    settings = dict(
        train_cfg=dict(max_epochs=length, val_begin=length + 1),  # no val
        param_scheduler=[
            dict(
                type='LinearLR', start_factor=0.01, by_epoch=False, end=warm_up
            ),
            dict(
                type='CosineAnnealingLR',
                T_max=length,
                convert_to_iter_based=True,
            ),
        ],
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        **precision,
    )
    if head:
        settings['model'] = dict(bbox_head=head)
    if assigner:
        settings.setdefault('model', {})['train_cfg'] = dict(assigner=assigner)
    return dict(detector=detector, data=name, settings=settings, **begin)


variants = {}
for _name in epochs:
    for _grid, _priors in grids.items():
        for _kind, _head in forms.items():
            variants[f'{_name}-{_kind}-{_grid}'] = _variant(
                _name,
                'stock' if _kind == 'stock' else 'meta',
                dict(_head, anchor_generator=_priors),
            )
    for _rival in ('fcos', 'atss'):
        variants[f'{_name}-{_rival}'] = _variant(_name, _rival)
    variants[f'{_name}-ga'] = _variant(_name, 'ga', precision=guided)
# Whether what was mended matters.
variants['plates-ga-unmended'] = _variant(
    'plates', 'ga', dict(type='UnmaskedGARetinaHead'), guided
)
# Whether the precision matters, and whether the lead on steel lasts, or is
# one of the learning rate.
slow = dict(
    half, optim_wrapper=dict(half['optim_wrapper'], optimizer=dict(lr=0.0005))
)
for _kind in ('stock', 'meta'):
    _head = dict(forms[_kind], anchor_generator=grids['3x3'])
    variants[f'plates-{_kind}-single'] = _variant('plates', _kind, _head, {})
    variants[f'neu-{_kind}-16'] = _variant('neu', _kind, _head, length=16)
    variants[f'neu-{_kind}-slow'] = _variant('neu', _kind, _head, slow)
# Ranks of W2; that of -meta- is 8.
ranks = {'4': 4, '16': 16, 'full': None}
for _name in ('neu', 'plates'):
    for _rank, _number in ranks.items():
        variants[f'{_name}-rank{_rank}'] = _variant(
            _name,
            'meta',
            dict(
                forms['meta'],
                anchor_function=dict(rank=_number),
                anchor_generator=grids['3x3'],
            ),
        )
# At least so many positive anchors of an object, of what tries.py has.
compensated = {
    grid: dict(type='ScaleCompensationAssigner', min_positives=number)
    for grid, number in (('3x3', 3), ('9x9', 9))
}
for _name, _grid in (
    *((name, '3x3') for name in epochs),
    ('plates', '9x9'),
):
    for _kind in ('stock', 'meta'):
        variants[f'{_name}-{_kind}-{_grid}-compensated'] = _variant(
            _name,
            _kind,
            dict(forms[_kind], anchor_generator=grids[_grid]),
            assigner=compensated[_grid],
        )
# Trained on with 50 images of another country, 7 iterations per epoch, with
# the trained anchors or with some of its plates' ratio, height / width.
ratios = {'plates-us': 0.5, 'plates-eu': 0.23}
for _name, _ratio in ratios.items():
    _chosen = dict(
        grids['3x3'],
        ratios=[round(_ratio * times, 3) for times in (0.8, 1, 1.25)],
    )
    for _kind in ('stock', 'meta'):
        for _what, _priors, _end in (
            ('tuned', grids['3x3'], ''),
            ('chosen', _chosen, ''),
            ('tuned', grids['3x3'], '-compensated'),
            ('chosen', _chosen, '-compensated'),
        ):
            variants[f'{_name}-{_kind}-{_what}{_end}'] = _variant(
                _name,
                _kind,
                dict(forms[_kind], anchor_generator=_priors),
                length=8,
                warm_up=5,
                assigner=compensated['3x3'] if _end else None,
                start=f'plates-{_kind}-3x3{_end}',
            )
names = dict(
    neu='steel (neu)', plates='licence plates', bccd='blood cells (BCCD)'
)
columns = {
    'stock RetinaNet': 'stock',
    'MetaAnchor': 'meta',
    "the paper's form": 'published',
}


def _grids(metric):
    return dict(
        title=f'{metric} with few anchors and with many',
        columns=list(columns),
        rows=[
            [
                f'{title}, {grid}',
                *(
                    [f'{name}-{kind}-{grid}', name, 'trained', metric]
                    for kind in columns.values()
                ),
            ]
            for name, title in names.items()
            for grid in grids
        ],
        versus='column',
        check=['steel (neu), 3x3', 'MetaAnchor'],
    )


tables = dict(
    grids=_grids('mAP'),
    grids_50=_grids('mAP_50'),
    rivals=dict(
        title='Beside other detectors, mAP',
        columns=[
            'stock RetinaNet',
            'MetaAnchor',
            'FCOS',
            'ATSS',
            'Guided Anchoring',
        ],
        rows=[
            [
                title,
                *(
                    f'{name}-{kind}'
                    for kind in ('stock-3x3', 'meta-3x3', 'fcos', 'atss', 'ga')
                ),
            ]
            for name, title in names.items()
        ],
        versus='column',
        check=['steel (neu)', 'FCOS'],
    ),
    guided=dict(
        title='Guided Anchoring with the loss of places of MMDetection, mAP',
        columns=['as it is', 'mended'],
        rows=[[names['plates'], 'plates-ga-unmended', 'plates-ga']],
        versus='column',
        check=[names['plates'], 'mended'],
    ),
    few=dict(
        title='Trained with many anchors, used with few, mAP',
        columns=[
            'stock, 3x3',
            'MetaAnchor, 3x3',
            '3x3, tested with clusters',
            'MetaAnchor, 9x9',
            '9x9, tested with 3x3',
            '9x9, tested with clusters',
            '9x9, tested with searched ones',
        ],
        rows=[
            [
                names.get(test, test),
                [f'{name}-stock-3x3', test],
                [f'{name}-meta-3x3', test],
                [f'{name}-meta-3x3', test, 'clustered'],
                *(
                    [f'{name}-meta-9x9', test, which]
                    for which in ('trained', '3x3', 'clustered')
                ),
                [f'{name}-meta-9x9', test, 'clustered+searched'],
            ]
            for name, test in (
                *((name, name) for name in names),
                *(('plates', name) for name in countries),
            )
        ],
        versus='column',
        check=['steel (neu)', '9x9, tested with 3x3'],
    ),
    precision=dict(
        title='Trained in single precision, mAP',
        columns=['bfloat16', 'single precision'],
        rows=[
            [title, f'plates-{kind}-3x3', f'plates-{kind}-single']
            for title, kind in columns.items()
            if kind != 'published'
        ],
        versus='column',
        check=['MetaAnchor', 'single precision'],
    ),
    steel=dict(
        title='Steel by the length and the rate of the training, mAP',
        columns=['stock RetinaNet', 'MetaAnchor'],
        rows=[
            [row, f'neu-stock-{name}', f'neu-meta-{name}']
            for row, name in (
                ('8 epochs', '3x3'),
                ('16 epochs', '16'),
                ('8 epochs, half the learning rate', 'slow'),
            )
        ],
        versus='column',
        check=['8 epochs', 'MetaAnchor'],
    ),
    ranks=dict(
        title='Ranks of W2, mAP',
        columns=['8', *ranks],
        rows=[
            [
                names[name],
                f'{name}-meta-3x3',
                *(f'{name}-rank{rank}' for rank in ranks),
            ]
            for name in ('neu', 'plates')
        ],
        versus='column',
        check=['steel (neu)', 'full'],
    ),
    compensated=dict(
        title='At least 3 positive anchors of an object, with 9x9 at least 9',
        columns=[
            f'{title}{end}'
            for end in ('', ', compensated')
            for title, kind in columns.items()
            if kind != 'published'
        ],
        rows=[
            [
                f'{names[name]}, {grid}',
                *(
                    f'{name}-{kind}-{grid}{end}'
                    for end in ('', '-compensated')
                    for kind in ('stock', 'meta')
                ),
            ]
            for name, grid in (
                *((name, '3x3') for name in names),
                ('plates', '9x9'),
            )
        ],
        versus='column',
        check=['licence plates, 3x3', 'MetaAnchor, compensated'],
    ),
    tuned=dict(
        title='Plates of another country, before and after 50 images of it',
        columns=[
            'stock',
            'and 50 images',
            'and chosen anchors',
            'MetaAnchor',
            'clustered anchors',
            'MetaAnchor and 50 images',
            'MetaAnchor and chosen anchors',
        ],
        rows=[
            [
                name,
                ['plates-stock-3x3', name],
                f'{name}-stock-tuned',
                f'{name}-stock-chosen',
                ['plates-meta-3x3', name],
                ['plates-meta-3x3', name, 'clustered'],
                f'{name}-meta-tuned',
                f'{name}-meta-chosen',
            ]
            for name in countries
        ],
        versus='column',
        check=['plates-eu', 'MetaAnchor and 50 images'],
    ),
    tuned_compensated=dict(
        title='50 images of another country, at least 3 positive anchors',
        columns=[
            'stock and 50 images',
            'and chosen anchors',
            'MetaAnchor and 50 images',
            'MetaAnchor and chosen anchors',
        ],
        rows=[
            [
                f'{name}{title}',
                *(
                    f'{name}-{kind}-{what}{end}'
                    for kind in ('stock', 'meta')
                    for what in ('tuned', 'chosen')
                ),
            ]
            for name in countries
            for title, end in (('', ''), (', compensated', '-compensated'))
        ],
        versus='column',
        check=['plates-eu, compensated', 'MetaAnchor and chosen anchors'],
    ),
)
pictures = dict(
    images=5,
    columns={
        'stock': 'plates-stock-3x3',
        'MetaAnchor': 'plates-meta-3x3',
        'MetaAnchor, clustered anchors': [
            'plates-meta-3x3',
            'plates',
            'clustered',
        ],
    },
)
