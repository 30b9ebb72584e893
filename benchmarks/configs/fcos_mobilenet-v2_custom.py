# FCOS in the place of RetinaNet, with all that MMDetection has for it.
_base_ = '../../configs/custom/retinanet_mobilenet-v2_custom.py'
model = dict(
    type='FCOS',
    bbox_head=dict(
        _delete_=True,
        type='FCOSHead',
        num_classes=len(_base_.classes),
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=8),
        conv_bias=True,
        strides=[8, 16, 32, 64, 128],
        # Half of the usual ones, as RetinaNet's anchors here are.
        regress_ranges=(
            (-1, 32),
            (32, 64),
            (64, 128),
            (128, 256),
            (256, 1e8),
        ),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        loss_bbox=dict(type='GIoULoss'),
        # MMDetection's, and boxes of two strides to begin with: from boxes of
        # none no training of ours came away, since distances below 0 are cut
        # and have no gradient.
        init_cfg=dict(
            type='Normal',
            layer='Conv2d',
            std=0.01,
            override=[
                dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01),
                dict(type='Normal', name='conv_reg', std=0.01, bias=1.0),
            ],
        ),
    ),
)
