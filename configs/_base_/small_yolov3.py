# A small YOLOv3 of MMDetection's own parts.
_base_ = './small_backbone.py'
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    type='YOLOV3',
    backbone=dict(out_indices=(1, 2, 3)),
    neck=dict(
        _delete_=True,
        type='YOLOV3Neck',
        num_scales=3,
        in_channels=[256, 128, 64],
        out_channels=[128, 64, 32],
        norm_cfg=norm_cfg,
    ),
    bbox_head=dict(
        type='YOLOV3Head',
        num_classes=80,
        in_channels=[128, 64, 32],
        out_channels=[256, 128, 64],
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            # dimension_clusters() of the boxes of train, 9 of them
            base_sizes=[
                [(66, 106), (166, 95), (100, 169)],
                [(48, 27), (40, 66), (90, 51)],
                [(13, 22), (24, 14), (22, 39)],
            ],
            strides=[32, 16, 8],
        ),
        # the weights of MMDetection's YOLOv3
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'
        ),
        loss_conf=dict(
            type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'
        ),
        loss_xy=dict(
            type='CrossEntropyLoss',
            use_sigmoid=True,
            loss_weight=2.0,
            reduction='sum',
        ),
        loss_wh=dict(type='MSELoss', loss_weight=2.0, reduction='sum'),
    ),
    train_cfg=dict(
        assigner=dict(
            type='GridAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0,
        ),
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        conf_thr=0.005,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=100,
    ),
)
