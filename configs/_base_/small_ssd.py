# A small SSD of MMDetection's own parts; its head is repaired to predict.
_base_ = './small_backbone.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    type='SingleStageDetector',
    neck=dict(norm_cfg=norm_cfg),
    bbox_head=dict(
        type='RepairedSSDHead',
        num_classes=80,
        in_channels=[64] * 5,
        # Towers as of RetinaNet: without them the levels, which share
        # nothing, hardly learn to tell classes apart.
        stacked_convs=2,
        feat_channels=64,
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            strides=[8, 16, 32, 64, 128],
            min_sizes=[16, 32, 64, 96, 128],
            max_sizes=[32, 64, 96, 128, 160],
            ratios=[[2, 3]] * 5,
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
    ),
    test_cfg=dict(
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=200,
    ),
)
