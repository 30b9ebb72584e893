# The learning rates of benchmarks/grids/lengths.py, chosen for either side and
# length by the mean of three trainings, in bfloat16 as there. It trains and
# tests on a data set of its own, because the images that lengths.py tests on
# may not choose, and other images of its training digits would favour learning
# by heart:
#   python -m benchmarks.quality benchmarks/grids/rates.py
seeds = [3, 4, 5]
results = 'benchmarks/results/rates'
detectors = dict(
    stock='benchmarks/configs/retinanet_r18-w16_digits.py',
    meta='benchmarks/configs/meta-retinanet_r18-w16-default_digits.py',
)
# As in digits.py.
make = dict(size_range=(16, 80), ratio_range=(0.5, 2))
data = dict(
    others=dict(
        env=dict(DIGITS_ROOT='data/benchmark/others'),
        make=dict(make, seed=1),
    )
)
anchors = {}
# As MetaAnchor's class has it, which is said as in rivals.py.
forms = dict(
    stock={},
    meta=dict(
        model=dict(
            bbox_head=dict(box_function='scaled', anchor_function=dict(rank=8))
        )
    ),
)
lengths, rates = (10, 20, 40), (0.002, 0.004, 0.008, 0.016)
variants = {
    f'{kind}-{epochs}-{rate}': dict(
        detector=kind,
        data='others',
        settings=dict(
            forms[kind],
            custom_imports=dict(
                imports=[
                    'mmdet_metaanchor',
                    'benchmarks.quality.half_precision',
                ]
            ),
            train_cfg=dict(max_epochs=epochs, val_begin=epochs + 1),  # no val
            param_scheduler=[
                dict(
                    type='LinearLR', start_factor=0.01, by_epoch=False, end=50
                ),
                dict(
                    type='CosineAnnealingLR',
                    T_max=epochs,
                    convert_to_iter_based=True,
                ),
            ],
            optim_wrapper=dict(
                type='BFloat16OptimWrapper', optimizer=dict(lr=rate)
            ),
        ),
    )
    for kind in detectors
    for epochs in lengths
    for rate in rates
}
tables = {
    kind: dict(
        title=title,
        columns=[f'{epochs} epochs' for epochs in lengths],
        rows=[
            [
                f'learning rate {rate}',
                *(f'{kind}-{epochs}-{rate}' for epochs in lengths),
            ]
            for rate in rates
        ],
        versus=None,
        check=['learning rate 0.004', '10 epochs'],
    )
    for kind, title in (('stock', 'Stock'), ('meta', 'MetaAnchor'))
}
