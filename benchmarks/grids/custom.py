# MetaAnchor beside stock on one's own images, see configs/custom:
#   export DATA_ROOT=path/to/folder
#   python -m benchmarks.quality benchmarks/grids/custom.py
seeds = [0, 1, 2]
detectors = dict(
    stock='configs/custom/retinanet_r18-w32_custom.py',
    meta='configs/custom/meta-retinanet_r18-w32_custom.py',
)
data = dict(custom=dict())
anchors = {
    '1x1': dict(scales=[2 * 2 ** (1 / 3)], ratios=[1.0]),
    '5x5': dict(
        octave_base_scale=2,
        scales_per_octave=5,
        ratios=[3 ** (k / 2) for k in range(-2, 3)],
    ),
}
# Half the width and half the schedule of the detectors.
max_epochs = 15
settings = dict(
    model=dict(
        backbone=dict(base_channels=16),
        neck=dict(in_channels=[16, 32, 64, 128]),
    ),
    train_cfg=dict(max_epochs=max_epochs, val_begin=max_epochs + 1),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
        dict(
            type='CosineAnnealingLR',
            T_max=max_epochs,
            convert_to_iter_based=True,
        ),
    ],
    train_dataloader=dict(num_workers=1),
)
variants = {
    kind: dict(detector=kind, data='custom', settings=settings)
    for kind in detectors
}
tables = dict(
    custom=dict(
        title='Photographs: trained with 3x3 anchors, tested with others',
        columns=['stock', 'MetaAnchor', '1x1', '5x5', 'clustered', 'searched'],
        rows=[
            [
                '3x3, 0.5/0.4',
                'stock',
                'meta',
                *(
                    ['meta', 'custom', name]
                    for name in ('1x1', '5x5', 'clustered', 'searched')
                ),
            ]
        ],
        versus='column',
        check=['3x3, 0.5/0.4', 'MetaAnchor'],
    )
)
