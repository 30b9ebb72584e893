# Stock YOLOv3 on one's own images, see ../_base_/custom_folder.py, with a
# backbone of ImageNet. `tools/cluster_anchors.py --by-size --beyond-range`
# says what `base_sizes` would fit them.
_base_ = [
    '../_base_/small_yolov3.py',
    '../_base_/custom_folder.py',
    '../_base_/mobilenet_v2.py',
]
model = dict(
    backbone=dict(_base_.mobilenet_v2, out_indices=(2, 4, 7)),
    neck=dict(in_channels=_base_.mobilenet_v2_channels[:0:-1]),
    bbox_head=dict(num_classes=len(_base_.classes)),
)
