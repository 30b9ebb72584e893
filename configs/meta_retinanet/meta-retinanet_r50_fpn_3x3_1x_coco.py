# MetaAnchor on the stock RetinaNet, trained with the 3x3 grid of the paper.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        anchor_generator=dict(
            type='MetaAnchorGenerator', standard_box=(44, 44)
        ),
    )
)
