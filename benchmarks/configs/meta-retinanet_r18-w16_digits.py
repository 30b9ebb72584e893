# The MetaAnchor twin as the records of results/digits have it: boxes and W2 as
# in the paper, and no jitter.
_base_ = './retinanet_r18-w16_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        box_function='published',
        anchor_function=dict(rank=None),
        anchor_generator=dict(
            type='MetaAnchorGenerator', jitter=0.0, anneal=0.0
        ),
    )
)
