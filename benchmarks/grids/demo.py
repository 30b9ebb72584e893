# What `make demo` runs: stock RetinaNet and MetaAnchor of digits.py, one seed
# of each, and MetaAnchor with four sets of anchors that were never trained:
#   python -m benchmarks.quality benchmarks/grids/demo.py
_base_ = './digits.py'
seeds = [0]
results = None
stock, meta = 'stock-3x3-0.5', 'default'
# Sizes (w, h) in px, one list per level.
anchors = {
    'px list': [
        [(w * 2**k, h * 2**k) for w, h in ((20, 20), (14, 32), (32, 14))]
        for k in range(5)
    ]
}
tables = dict.fromkeys(_base_.tables) | dict(
    demo=dict(
        title='One checkpoint, any anchors',
        columns=['stock', 'MetaAnchor'],
        rows=[
            ['3x3 anchors, as trained', stock, meta],
            ['1 anchor', None, [meta, 'digits', '1x1']],
            ['5x5 anchors', None, [meta, 'digits', '5x5']],
            ['9x9 anchors', None, [meta, 'digits', '9x9']],
            ['3 anchors in px', None, [meta, 'digits', 'px list']],
        ],
        versus='column',
        check=['3x3 anchors, as trained', 'MetaAnchor'],
    )
)
pictures = dict(
    images=4,
    columns={
        'stock': stock,
        'MetaAnchor': meta,
        'MetaAnchor, 1 anchor': [meta, 'digits', '1x1'],
        'MetaAnchor, 5x5 anchors': [meta, 'digits', '5x5'],
    },
)
