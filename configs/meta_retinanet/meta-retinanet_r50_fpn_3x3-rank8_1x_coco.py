# A generator of 1.55 million parameters, not 24.8: as large as stock in all.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(bbox_head=dict(anchor_function=dict(rank=8)))
