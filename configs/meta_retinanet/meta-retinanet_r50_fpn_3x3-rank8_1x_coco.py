# MetaAnchor with 1.6 million parameters more than stock, not 24.8.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(bbox_head=dict(anchor_function=dict(rank=8)))
