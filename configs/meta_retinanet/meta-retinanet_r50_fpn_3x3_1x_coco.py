# MetaAnchor on the stock RetinaNet, trained with the 3x3 grid of the paper.
# Not with its jitter of 0.5: with the anchors of the training it costs mAP.
# Set it to choose anchors of very other ratios later (docs/benchmark.md).
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaRetinaHead',
        anchor_generator=dict(
            type='MetaAnchorGenerator', standard_box=(44, 44), jitter=0.0
        ),
    )
)
