# SSD, YOLOv3, Faster R-CNN and its RPN, stock and with MetaAnchor, on the
# embedded digits and on photographs of licence plates, which
# `python -m benchmarks.photographs` prepares:
#   python -m benchmarks.quality benchmarks/grids/detectors.py
seeds = [0, 1, 2]
results = 'benchmarks/results/detectors'
families = dict(
    rpn='meta_faster_rcnn',
    ssd='meta_ssd',
    yolov3='meta_yolov3',
    **{'faster-rcnn': 'meta_faster_rcnn'},
)
detectors = {
    **{
        f'digits-{name}-stock': (
            f'configs/anchor_systems/{name}-stock_r18-w32_digits.py'
        )
        for name in families
    },
    **{
        f'digits-{name}-meta': (
            f'configs/{folder}/meta-{name}_r18-w32_digits.py'
        )
        for name, folder in families.items()
    },
    **{
        f'plates-{name}-{kind}': (
            f'configs/custom/{prefix}{name}_mobilenet-v2_custom.py'
        )
        for name in families
        for kind, prefix in (('stock', ''), ('meta', 'meta-'))
    },
    'digits-yolov3-published': (
        'configs/anchor_systems/yolov3_r18-w32_digits.py'
    ),
}
data = {
    # As in digits.py.
    'digits': dict(
        env=dict(DIGITS_ROOT='data/benchmark/digits'),
        make=dict(size_range=(16, 80), ratio_range=(0.5, 2)),
    ),
    'plates': dict(env=dict(DATA_ROOT='data/photographs/plates')),
}
anchors = {
    '5x5': dict(
        octave_base_scale=2,
        scales_per_octave=5,
        ratios=[round(3 ** (i / 2 - 1), 4) for i in range(5)],
    )
}
# Of a training, by data and family; what learns from more priors of an
# object learns faster.
epochs = dict(
    digits=dict(ssd=12, yolov3=18, rpn=8, **{'faster-rcnn': 8}),
    plates=dict(ssd=8, yolov3=24, rpn=8, **{'faster-rcnn': 8}),
)
# dimension_clusters() of the boxes of train, for YOLOv3.
clusters = dict(
    digits=[
        [(45, 61), (80, 57), (59, 82)],
        [(37, 26), (33, 45), (55, 39)],
        [(16, 23), (24, 17), (23, 33)],
    ],
    plates=[
        [(42, 12), (53, 14), (65, 18)],
        [(24, 7), (27, 8), (34, 9)],
        [(14, 4), (17, 5), (21, 6)],
    ],
)


def _schedule(number):
    return dict(
        train_cfg=dict(max_epochs=number, val_begin=number + 1),  # no val
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
            dict(
                type='CosineAnnealingLR',
                T_max=number,
                convert_to_iter_based=True,
            ),
        ],
    )


def _settings(name, family, kind, **head):
    # Each is one of several trainings that share the cores.
    loader = dict(num_workers=1)
    settings = dict(
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        **_schedule(epochs[name][family]),
    )
    model = {}
    if head:
        imports = ['mmdet_metaanchor', 'benchmarks.quality.ablations']
        settings['custom_imports'] = dict(imports=imports)
        part = 'bbox_head' if family in ('ssd', 'yolov3') else 'rpn_head'
        model = {part: head}
    if name == 'digits':
        channels = [16, 32, 64, 128]
        if family == 'yolov3':
            channels = channels[:0:-1]
        model.update(
            backbone=dict(base_channels=16), neck=dict(in_channels=channels)
        )
    if family == 'yolov3':
        priors = dict(base_sizes=clusters[name])
        if kind == 'meta':
            priors = dict(priors=priors)
        head = model.setdefault('bbox_head', {})
        head.setdefault('anchor_generator', {}).update(priors)
    return dict(settings, model=model) if model else settings


variants = {
    detector: dict(
        detector=detector,
        data=detector.split('-')[0],
        settings=_settings(
            detector.split('-')[0],
            detector.split('-', 1)[1].rsplit('-', 1)[0],
            detector.rsplit('-', 1)[1],
        ),
    )
    for detector in detectors
}
# What the levels of SSD and YOLOv3 may share, and their jitter.
jittered = [('digits', 'ssd'), ('digits', 'yolov3'), ('plates', 'ssd')]
for _family, _type in (
    ('ssd', 'SharedHiddenSSDHead'),
    ('yolov3', 'SharedHiddenYOLOV3Head'),
):
    variants[f'digits-{_family}-shared'] = dict(
        variants[f'digits-{_family}-meta'],
        settings=_settings(
            'digits',
            _family,
            'meta',
            type=_type,
            anchor_generator=dict(jitter=0),
        ),
    )
for _data, _family in jittered:
    variants[f'{_data}-{_family}-nojitter'] = dict(
        variants[f'{_data}-{_family}-meta'],
        settings=_settings(
            _data, _family, 'meta', anchor_generator=dict(jitter=0)
        ),
    )
# Whether the rule of YOLOv3, or jitter on plates, needs longer.
for _detector in (
    'digits-yolov3-stock',
    'digits-yolov3-published',
    'plates-ssd-stock',
    'plates-ssd-meta',
    'plates-ssd-nojitter',
):
    _data, _family, _ = _detector.split('-')
    _variant = variants[_detector]
    variants[f'{_detector}-x2'] = dict(
        _variant,
        settings=dict(
            _variant['settings'], **_schedule(2 * epochs[_data][_family])
        ),
    )
# Stock checkpoints as MetaAnchor, without training.
for _name in families:
    variants[f'digits-{_name}-imported'] = dict(
        variants[f'digits-{_name}-meta'],
        start=f'digits-{_name}-stock',
        trained=False,
    )
chosen = {
    'trained': 'as trained',
    '5x5': 'with 5x5',
    'clustered': 'clustered',
}
labels = dict(
    ssd='SSD', yolov3='YOLOv3', **{'faster-rcnn': 'Faster R-CNN'}, rpn='RPN'
)


def _length(name, family, times):
    """Label of a training that is that many times as long, and its ending."""
    ending = f'-x{times}' if times > 1 else ''
    return f'{epochs[name][family] * times} epochs', ending


def _table(name, metric, title, longer=()):
    """Rows of families; the same MetaAnchor checkpoint under all anchors."""
    rows = [
        (labels[family], family, '') for family in families if family != 'rpn'
    ]
    for family in longer:
        label, end = _length(name, family, 2)
        rows.append((f'{labels[family]}, {label}', family, end))
    return dict(
        title=title,
        columns=['stock', 'MetaAnchor', 'with 5x5', 'clustered'],
        rows=[
            [
                label,
                [f'{name}-{family}-stock{end}', name, 'trained', metric],
                *(
                    [f'{name}-{family}-meta{end}', name, anchors, metric]
                    for anchors in chosen
                ),
            ]
            for label, family, end in rows
        ],
        versus='column',
        check=['SSD', 'MetaAnchor'],
    )


def _recall(name, title):
    return dict(
        title=title,
        columns=['stock', 'MetaAnchor', 'with 5x5', 'clustered'],
        rows=[
            [
                f'AR at {number}',
                [f'{name}-rpn-stock', name, 'trained', f'AR@{number}'],
                *(
                    [f'{name}-rpn-meta', name, anchors, f'AR@{number}']
                    for anchors in chosen
                ),
            ]
            for number in (100, 300, 1000)
        ],
        versus='column',
        check=['AR at 100', 'MetaAnchor'],
    )


names = dict(digits='digits', plates='photographs of licence plates')
tables = dict(
    digits=_table('digits', 'mAP', 'mAP on the digits'),
    digits_50=_table('digits', 'mAP_50', 'AP50 on the digits'),
    digits_rpn=_recall('digits', 'RPN on the digits: average recall'),
    rule=dict(
        title='Stock YOLOv3 by the rule of GridAssigner and of YOLOv3Assigner',
        columns=['GridAssigner', 'YOLOv3Assigner'],
        rows=[
            [
                f'{label}, {length}',
                *(
                    [
                        f'digits-yolov3-{kind}{end}',
                        'digits',
                        'trained',
                        metric,
                    ]
                    for kind in ('stock', 'published')
                ),
            ]
            for label, metric in (('mAP', 'mAP'), ('AP50', 'mAP_50'))
            for length, end in (
                _length('digits', 'yolov3', times) for times in (1, 2)
            )
        ],
        versus='column',
        check=['mAP, 18 epochs', 'YOLOv3Assigner'],
    ),
    levels=dict(
        title='Levels that share no convolutions, mAP without jitter',
        columns=['a generator each', 'one hidden layer'],
        rows=[
            [
                f'{labels[family]}, {name}',
                *(
                    [f'digits-{family}-{kind}', 'digits', test]
                    for kind in ('nojitter', 'shared')
                ),
            ]
            for family in ('ssd', 'yolov3')
            for test, name in chosen.items()
        ],
        versus='column',
        check=['SSD, as trained', 'one hidden layer'],
    ),
    jitter=dict(
        title='Jitter in training, mAP',
        columns=['none', 'jitter 0.5'],
        rows=[
            [
                f'{data}: {labels[family]}, {length}, {name}',
                *(
                    [f'{data}-{family}-{kind}{end}', data, test]
                    for kind in ('nojitter', 'meta')
                ),
            ]
            for data, family, times in (
                *((*one, 1) for one in jittered),
                ('plates', 'ssd', 2),
            )
            for length, end in [_length(data, family, times)]
            for test, name in chosen.items()
        ],
        versus='column',
        check=['digits: SSD, 12 epochs, as trained', 'jitter 0.5'],
    ),
    imported=dict(
        title='Stock checkpoints of the digits as MetaAnchor, mAP '
        '(of RPN AR at 100)',
        columns=['stock', 'as MetaAnchor', 'clustered', 'and searched'],
        rows=[
            [
                label,
                [f'digits-{family}-stock', 'digits', 'trained', metric],
                *(
                    [f'digits-{family}-imported', 'digits', anchors, metric]
                    for anchors in (
                        'trained',
                        'clustered',
                        'clustered+searched',
                    )
                ),
            ]
            for family, label in labels.items()
            for metric in ('AR@100' if family == 'rpn' else 'mAP',)
        ],
        versus='column',
        check=['SSD', 'clustered'],
    ),
    plates=_table('plates', 'mAP', 'mAP on photographs of plates', ['ssd']),
    plates_50=_table('plates', 'mAP_50', 'AP50 on photographs of plates'),
    plates_rpn=_recall(
        'plates', 'RPN on photographs of plates: average recall'
    ),
)
