# The form of the paper: a full W2, and no known part of the boxes.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(anchor_function=dict(rank=None), box_function='published')
)
