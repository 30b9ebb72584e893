# MetaAnchor trained with the 5x5 grid of the paper.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            scales_per_octave=5,
            ratios=[1 / 3, 1 / 2, 1.0, 2.0, 3.0],
            standard_box=(45, 47),
        )
    )
)
