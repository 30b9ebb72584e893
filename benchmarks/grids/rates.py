# The learning rates of benchmarks/grids/lengths.py, chosen for either side and
# length by one training each, on images that lengths.py does not test on, in
# bfloat16 as there:
#   python -m benchmarks.quality benchmarks/grids/rates.py
seeds = [3]
results = 'benchmarks/results/rates'
detectors = dict(
    stock='benchmarks/configs/retinanet_r18-w16_digits.py',
    meta='benchmarks/configs/meta-retinanet_r18-w16-default_digits.py',
)
# As in digits.py, and other images of the same kind.
make = dict(size_range=(16, 80), ratio_range=(0.5, 2))
data = dict(
    digits=dict(env=dict(DIGITS_ROOT='data/benchmark/digits'), make=make),
    others=dict(
        env=dict(DIGITS_ROOT='data/benchmark/others'),
        make=dict(make, num_train=1, seed=1),
    ),
)
anchors = {}
lengths, rates = (10, 20, 40), (0.001, 0.002, 0.004)
variants = {
    f'{kind}-{epochs}-{rate}': dict(
        detector=kind,
        data='digits',
        settings=dict(
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
                *([f'{kind}-{epochs}-{rate}', 'others'] for epochs in lengths),
            ]
            for rate in rates
        ],
        versus=None,
        check=['learning rate 0.002', '10 epochs'],
    )
    for kind, title in (('stock', 'Stock'), ('meta', 'MetaAnchor'))
}
