# MetaAnchor trained with the 9x9 grid of the paper.
_base_ = './meta-retinanet_r50_fpn_3x3_1x_coco.py'
model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            scales_per_octave=9,
            ratios=[1 / 5, 1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0, 5.0],
            standard_box=(53, 53),
        )
    )
)
