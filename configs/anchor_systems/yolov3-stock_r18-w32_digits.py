# YOLOv3 of MMDetection's own parts, on the embedded digits.
_base_ = ['../_base_/small_yolov3.py', '../_base_/digits.py']
model = dict(
    # faster from scratch than the GroupNorm of the other small configs
    backbone=dict(norm_cfg=dict(_delete_=True, type='BN')),
    bbox_head=dict(num_classes=10),
)
# One prior a ground truth learns more slowly than the several of the others.
train_cfg = dict(max_epochs=24, val_interval=6)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = 24
