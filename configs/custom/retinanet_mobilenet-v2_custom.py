# Stock RetinaNet on one's own images, with the MobileNetV2 of ImageNet that
# tools/mobilenet_v2.py fetches; the first half of it keeps its weights.
_base_ = './retinanet_r18-w32_custom.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 7),
        frozen_stages=4,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='data/mobilenet_v2.pth'),
    ),
    # Without a norm the maps grow to a deviation of 20 to 50, and some
    # trainings get stuck.
    neck=dict(
        in_channels=[24, 32, 96, 1280],
        norm_cfg=dict(type='GN', num_groups=8),
    ),
)
