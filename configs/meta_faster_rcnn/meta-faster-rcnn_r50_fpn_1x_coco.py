# MetaAnchor in the RPN of Faster R-CNN.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        type='MetaRPNHead', anchor_generator=dict(type='MetaAnchorGenerator')
    )
)
