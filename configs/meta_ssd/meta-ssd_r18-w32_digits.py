# The MetaAnchor twin of SSD on the embedded digits.
_base_ = '../anchor_systems/ssd-stock_r18-w32_digits.py'
model = dict(
    bbox_head=dict(
        type='MetaSSDHead',
        anchor_generator=dict(
            _delete_=True,
            type='MetaAnchorGenerator',
            priors=_base_.model.bbox_head.anchor_generator,
            # A level has few shapes: see docs/detectors.md.
            jitter=0.5,
        ),
    )
)
