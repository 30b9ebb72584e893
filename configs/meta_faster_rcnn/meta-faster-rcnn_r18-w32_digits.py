# The MetaAnchor twin of Faster R-CNN on the embedded digits.
_base_ = '../anchor_systems/faster-rcnn-stock_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        type='MetaRPNHead', anchor_generator=dict(type='MetaAnchorGenerator')
    )
)
