# MetaAnchor as the ablations take it: no jitter, the standard box that is the
# mean of whatever grid is trained.
_base_ = '../meta_retinanet/meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(anchor_generator=dict(jitter=0.0, standard_box=None))
)
