# RetinaNet with Guided Anchoring: anchors predicted for the image.
_base_ = '../../configs/custom/retinanet_mobilenet-v2_custom.py'
custom_imports = dict(imports=['benchmarks.quality.rivals'])
strides = [8, 16, 32, 64, 128]
model = dict(
    bbox_head=dict(
        _delete_=True,
        type='MendedGARetinaHead',
        num_classes=len(_base_.classes),
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=8),
        approx_anchor_generator=_base_.model.bbox_head.anchor_generator,
        square_anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], scales=[2], strides=strides
        ),
        anchor_coder=dict(type='DeltaXYWHBBoxCoder'),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_loc=dict(type='FocalLoss', use_sigmoid=True),
        loss_shape=dict(type='BoundedIoULoss', beta=0.2),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.04),
    ),
    train_cfg=dict(
        ga_assigner=dict(
            type='ApproxMaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0.4,
            ignore_iof_thr=-1,
        ),
        ga_sampler=dict(
            type='RandomSampler',
            num=256,
            pos_fraction=0.5,
            add_gt_as_proposals=False,
        ),
        assigner=dict(neg_iou_thr=0.5),
        center_ratio=0.2,
        ignore_ratio=0.5,
    ),
)
