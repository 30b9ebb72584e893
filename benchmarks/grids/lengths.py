# Does the lead last? Stock and MetaAnchor, 10, 20 and 40 epochs long, either
# with the learning rate that rates.py has chosen for it and the length:
#   python -m benchmarks.quality benchmarks/grids/lengths.py
_base_ = './rates.py'
seeds = [0, 1, 2]
results = 'benchmarks/results/lengths'
data = dict(
    _delete_=True,
    digits=dict(
        env=dict(DIGITS_ROOT='data/benchmark/digits'), make=_base_.make
    ),
)
# The best by three trainings, and with 40 epochs of two rates by one.
chosen = dict(
    stock={10: 0.004, 20: 0.004, 40: 0.008},
    meta={10: 0.004, 20: 0.004, 40: 0.008},
)
names = dict(stock='stock', meta='MetaAnchor')
variants = dict(
    _delete_=True,
    **{
        f'{kind}-{epochs}': dict(
            _base_.variants[f'{kind}-{epochs}-{rate}'], data='digits'
        )
        for kind, rates in chosen.items()
        for epochs, rate in rates.items()
    },
)
tables = dict.fromkeys(_base_.tables) | dict(
    lengths=dict(
        title='The lead by the length of the training',
        columns=list(names.values()),
        rows=[
            [f'{epochs} epochs', *(f'{kind}-{epochs}' for kind in names)]
            for epochs in _base_.lengths
        ],
        versus='column',
        check=['10 epochs', 'MetaAnchor'],
    )
)
