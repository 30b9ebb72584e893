# Photographs: detectors tested on objects of other shapes, and with anchors
# chosen for them. `python -m benchmarks.photographs` prepares the data:
#   python -m benchmarks.quality benchmarks/grids/photographs.py
seeds = [0, 1, 2]
results = 'benchmarks/results/photographs'
detectors = dict(
    stock='configs/custom/retinanet_mobilenet-v2_custom.py',
    meta='configs/custom/meta-retinanet_mobilenet-v2_custom.py',
)
data = {
    name: dict(env=dict(DATA_ROOT=f'data/photographs/{name}'))
    for name in ('plates', 'plates-us', 'plates-eu', 'neu-square')
}
# Anchors of one ratio, height / width, in three sizes.
grid = dict(octave_base_scale=2, scales_per_octave=3)
sweep = {f'1/{n:g}': dict(grid, ratios=[1 / n]) for n in (2, 2.5, 3, 4)}
anchors = {
    **sweep,
    'trained and 1/3': dict(grid, ratios=[1 / 3, 0.5, 1.0, 2.0]),
    '9x9': dict(
        octave_base_scale=2,
        scales_per_octave=9,
        ratios=[round(5 ** (i / 4 - 1), 4) for i in range(9)],
    ),
}
epochs = 8
settings = dict(
    train_cfg=dict(max_epochs=epochs, val_begin=epochs + 1),  # no val
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
        dict(
            type='CosineAnnealingLR', T_max=epochs, convert_to_iter_based=True
        ),
    ],
    # Each is one of several trainings that share the cores.
    train_dataloader=dict(num_workers=1),
    val_dataloader=dict(num_workers=1),
    test_dataloader=dict(num_workers=1),
)
# The form of the paper, without jitter.
before = dict(
    box_function='published',
    anchor_function=dict(rank=None),
    anchor_generator=dict(jitter=0.0, anneal=0.0),
)
kinds = dict(
    stock=dict(detector='stock', settings=settings),
    before=dict(
        detector='meta', settings=dict(settings, model=dict(bbox_head=before))
    ),
    meta=dict(detector='meta', settings=settings),
)
variants = {
    f'{name}-{kind}': dict(data=name, **definition)
    for name in ('plates', 'neu-square')
    for kind, definition in kinds.items()
}
versions = dict(before='before', now='meta')
pairs = [
    ('plates', 'plates'),
    ('plates', 'plates-us'),
    ('plates', 'plates-eu'),
    ('neu-square', 'neu-square'),
]
tables = dict(
    transfer=dict(
        title='Other shapes, without training again',
        columns=[
            'stock',
            'before: trained anchors',
            'before: clustered',
            'before: clustered, beyond the range',
            'trained anchors',
            'clustered',
            'clustered, searched',
        ],
        rows=[
            [
                test if test != 'plates' else 'plates, as trained',
                [f'{name}-stock', test],
                [f'{name}-before', test],
                [f'{name}-before', test, 'clustered'],
                [f'{name}-before', test, 'clustered-beyond'],
                [f'{name}-meta', test],
                [f'{name}-meta', test, 'clustered'],
                [f'{name}-meta', test, 'clustered+searched'],
            ]
            for name, test in pairs
        ],
        versus='column',
        check=['plates-eu', 'clustered'],
    ),
    sweep=dict(
        title='Anchors of one ratio, height / width, on plates-eu (w/h 4.4)',
        columns=['1/2, 1, 2 as trained', *sweep, 'trained and 1/3'],
        rows=[
            [
                label,
                *(
                    [f'plates-{kind}', 'plates-eu', name]
                    for name in ('trained', *sweep, 'trained and 1/3')
                ),
            ]
            for label, kind in versions.items()
        ],
        versus=None,
        lines=True,
        check=['now', '1/4'],
    ),
    grids=dict(
        title='Trained with 3x3, tested with 9x9 anchors',
        columns=['3x3', '9x9'],
        rows=[
            [
                f'{name}, {label}',
                f'{name}-{kind}',
                [f'{name}-{kind}', name, '9x9'],
            ]
            for name in ('plates', 'neu-square')
            for label, kind in versions.items()
        ],
        versus=None,
        check=['plates, now', '9x9'],
    ),
)
