# The MetaAnchor twin: same data, network, schedule and anchors.
_base_ = './ssd_mobilenet-v2_custom.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
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
