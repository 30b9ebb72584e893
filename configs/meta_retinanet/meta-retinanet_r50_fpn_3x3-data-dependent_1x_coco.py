# MetaAnchor whose weights depend on the image too (Eq. 6 of the paper).
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(bbox_head=dict(anchor_function=dict(data_dependent=True)))
