# Stock RetinaNet on one's own images, with a backbone of ImageNet.
_base_ = ['./retinanet_r18-w32_custom.py', '../_base_/mobilenet_v2.py']
model = dict(
    backbone=_base_.mobilenet_v2,
    # Without a norm the maps grow to a deviation of 20 to 50, and some
    # trainings get stuck.
    neck=dict(
        in_channels=_base_.mobilenet_v2_channels,
        norm_cfg=dict(type='GN', num_groups=8),
    ),
)
