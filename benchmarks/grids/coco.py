# The experiments of digits.py on COCO, with the paper's detector:
#   GRID=benchmarks/grids/coco.py
#   python -m benchmarks.quality $GRID --jobs 1 --gpus 8
_base_ = './digits.py'
results = None
detectors = dict(
    stock='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    meta='benchmarks/configs/meta-retinanet_r50_fpn_1x_coco.py',
    default='configs/meta_retinanet/meta-retinanet_r50_fpn_3x3_1x_coco.py',
)
# `digits` is the name of what the detectors' own configs train and test on.
data = dict(digits=dict(_delete_=True, env=dict()))
anchors = {
    **{f'{k}x{k}': dict(octave_base_scale=4) for k in (3, 5, 7, 9)},
    '1x1': dict(scales=[5.04]),
}
sizes = dict(train_cfg=dict(assigner=dict(size_range=(50, 100))))
# Half of the detectors' own schedule, 1x, with its warm-up.
short = dict(
    train_cfg=dict(max_epochs=6, val_begin=7),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=500),
        dict(type='MultiStepLR', milestones=[4, 5], gamma=0.1),
    ],
)
variants = {
    # Said, as in digits.py; the detector's config leaves it to the class.
    'default': dict(
        settings=dict(model=dict(bbox_head=dict(anchor_function=dict(rank=8))))
    ),
    **{
        name: dict(settings=short)
        for name, variant in _base_.variants.items()
        if 'param_scheduler' in variant['settings']
    },
    **{
        f'{kind}-zero-loss': dict(settings=dict(model=sizes))
        for kind in ('stock', 'meta')
    },
    **{
        f'standard-box-{name}': dict(
            settings=dict(
                **short,
                model=dict(
                    bbox_head=dict(
                        anchor_generator=dict(standard_box=(side, side))
                    )
                ),
            )
        )
        # The mean of the anchors is 42.7 x 42.7 px.
        for name, side in dict(half=21.35, double=85.4).items()
    },
}
zero_loss_rows = _base_.tables.zero_loss.rows[:2]
zero_loss_rows[1][0] = 'none from 50 to 100 px'
tables = dict(
    zero_loss=dict(
        rows=zero_loss_rows, check=['none from 50 to 100 px', 'MetaAnchor']
    ),
    data_dependent=dict(
        rows=[
            ['12 epochs', 'meta-3x3-0.5', 'data-dependent'],
            ['6 epochs', 'meta-short', 'data-dependent-short'],
        ],
        check=['6 epochs', 'data-independent'],
    ),
    ablations=dict(title='Ablations, 6 epochs'),
    # Other learning rates and other data are those of the digits.
    pace=None,
    shifted=None,
    default_shifted=None,
)
