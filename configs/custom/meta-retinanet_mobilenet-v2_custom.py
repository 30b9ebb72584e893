# The MetaAnchor twin: same data, network, schedule and anchors.
_base_ = './retinanet_mobilenet-v2_custom.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        anchor_generator=dict(type='MetaAnchorGenerator'),
    )
)
