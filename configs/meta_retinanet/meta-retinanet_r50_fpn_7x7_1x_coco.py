# MetaAnchor trained with the 7x7 grid of the paper.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            scales_per_octave=7,
            ratios=[1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0],
            standard_box=(48, 50),
        )
    )
)
