# SSD as published: its matching, and its coding with variances.
_base_ = './ssd-stock_r18-w32_digits.py'
model = dict(
    bbox_head=dict(
        bbox_coder=dict(_delete_=True, type='DeltaXYWHVarianceBBoxCoder')
    ),
    train_cfg=dict(
        assigner=dict(_delete_=True, type='SSDAssigner', iou_thr=0.5)
    ),
)
