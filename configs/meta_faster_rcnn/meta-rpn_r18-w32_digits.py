# The MetaAnchor twin of RPN on the embedded digits.
_base_ = '../anchor_systems/rpn-stock_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        type='MetaRPNHead', anchor_generator=dict(type='MetaAnchorGenerator')
    )
)
