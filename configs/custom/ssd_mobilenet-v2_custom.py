# Stock SSD, its head repaired to predict, on one's own images, see
# ../_base_/custom_folder.py, with a backbone of ImageNet.
_base_ = [
    '../_base_/small_ssd.py',
    '../_base_/custom_folder.py',
    '../_base_/mobilenet_v2.py',
]
model = dict(
    backbone=_base_.mobilenet_v2,
    neck=dict(in_channels=_base_.mobilenet_v2_channels),
    bbox_head=dict(num_classes=len(_base_.classes)),
)
