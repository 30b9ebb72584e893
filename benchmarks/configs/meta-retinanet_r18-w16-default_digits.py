# The MetaAnchor twin with all settings as the classes have them.
_base_ = './retinanet_r18-w16_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        anchor_generator=dict(type='MetaAnchorGenerator'),
    )
)
