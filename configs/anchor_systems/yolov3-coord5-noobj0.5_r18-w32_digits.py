# YOLOv3 with the weights of YOLO: 5 on boxes, 0.5 on empty cells.
_base_ = './yolov3_r18-w32_digits.py'
model = dict(
    bbox_head=dict(
        loss_xy=dict(loss_weight=5.0),
        loss_wh=dict(loss_weight=5.0),
        loss_conf=dict(type='ObjectnessLoss', noobj_weight=0.5),
    )
)
