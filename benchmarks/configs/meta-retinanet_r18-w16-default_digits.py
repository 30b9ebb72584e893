# The MetaAnchor twin with all settings as the classes have them. The rank is
# said, because records without one were made when it was None.
_base_ = './retinanet_r18-w16_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        anchor_function=dict(rank=8),
        anchor_generator=dict(type='MetaAnchorGenerator'),
    )
)
