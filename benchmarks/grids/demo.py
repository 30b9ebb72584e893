# What `make demo` runs: stock RetinaNet and MetaAnchor of the benchmark, one
# seed of each, and MetaAnchor with four sets of anchors that were never
# trained:
#   python -m benchmarks.quality benchmarks/grids/demo.py
seeds = [0]
detectors = dict(
    stock='benchmarks/configs/retinanet_r18-w16_digits.py',
    meta='benchmarks/configs/meta-retinanet_r18-w16_digits.py',
)
data = dict(
    digits=dict(
        env=dict(DIGITS_ROOT='data/benchmark/digits'),
        make=dict(size_range=(16, 80), ratio_range=(0.5, 2)),
    )
)
# Sizes in strides of a level, 8 px at the lowest and doubled at each next
# one; px lists in (w, h), one per level. Ratios are height / width.
anchors = {
    '1x1': dict(scales=[2.52], ratios=[1.0]),
    '5x5': dict(
        octave_base_scale=2,
        scales_per_octave=5,
        ratios=[round(3 ** (k / 2), 4) for k in range(-2, 3)],
    ),
    '9x9': dict(
        octave_base_scale=2,
        scales_per_octave=9,
        ratios=[round(5 ** (k / 4), 4) for k in range(-4, 5)],
    ),
    'px list': [
        [(w * 2**k, h * 2**k) for w, h in ((20, 20), (14, 32), (32, 14))]
        for k in range(5)
    ],
}
variants = dict(
    stock=dict(detector='stock', data='digits'),
    meta=dict(detector='meta', data='digits'),
)
tables = dict(
    demo=dict(
        title='One checkpoint, any anchors',
        columns=['stock', 'MetaAnchor'],
        rows=[
            ['3x3 anchors, as trained', 'stock', 'meta'],
            ['1 anchor', None, ['meta', 'digits', '1x1']],
            ['5x5 anchors', None, ['meta', 'digits', '5x5']],
            ['9x9 anchors', None, ['meta', 'digits', '9x9']],
            ['3 anchors in px', None, ['meta', 'digits', 'px list']],
        ],
        versus='column',
        check=['3x3 anchors, as trained', 'MetaAnchor'],
    )
)
pictures = dict(
    images=4,
    columns={
        'stock': 'stock',
        'MetaAnchor': 'meta',
        'MetaAnchor, 1 anchor': ['meta', 'digits', '1x1'],
        'MetaAnchor, 5x5 anchors': ['meta', 'digits', '5x5'],
    },
)
