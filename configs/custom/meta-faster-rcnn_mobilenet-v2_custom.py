# The MetaAnchor twin: same data, network, schedule and anchors.
_base_ = './faster-rcnn_mobilenet-v2_custom.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        type='MetaRPNHead', anchor_generator=dict(type='MetaAnchorGenerator')
    )
)
