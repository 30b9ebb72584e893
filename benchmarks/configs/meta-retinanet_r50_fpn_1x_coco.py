# The form of the paper: its boxes, its W2, and the mean of the grid at hand as
# the standard box.
_base_ = '../../configs/meta_retinanet/meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(
        box_function='published',
        anchor_function=dict(rank=None),
        anchor_generator=dict(standard_box=None, jitter=0.0, anneal=0.0),
    )
)
