# As the ablations take it: the standard box is the mean of whatever grid is
# trained.
_base_ = '../../configs/meta_retinanet/meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(bbox_head=dict(anchor_generator=dict(standard_box=None)))
