# YOLOv3 as published: its matching, and its coding kept finite.
_base_ = './yolov3-stock_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(bbox_coder=dict(type='DirectLocationBBoxCoder')),
    train_cfg=dict(
        assigner=dict(_delete_=True, type='YOLOv3Assigner', ignore_iou_thr=0.5)
    ),
)
