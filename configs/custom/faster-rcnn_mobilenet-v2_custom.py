# Stock Faster R-CNN on one's own images, see ../_base_/custom_folder.py, with
# a backbone of ImageNet.
_base_ = [
    '../_base_/small_faster_rcnn.py',
    '../_base_/custom_folder.py',
    '../_base_/mobilenet_v2.py',
]
model = dict(
    backbone=_base_.mobilenet_v2,
    neck=dict(
        in_channels=_base_.mobilenet_v2_channels,
        norm_cfg=dict(type='GN', num_groups=8),
    ),
    roi_head=dict(bbox_head=dict(num_classes=len(_base_.classes))),
)
