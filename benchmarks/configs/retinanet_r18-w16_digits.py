# Stock RetinaNet on the embedded digits, small enough for many trainings:
# 4 minutes on one CPU core. -m benchmarks.quality makes the images.
_base_ = '../../configs/digits/retinanet_r18-w32_digits.py'
model = dict(
    backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128])
)
# Each is one of several trainings that share the cores.
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs + 1)  # no val
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(
        type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True
    ),
]
