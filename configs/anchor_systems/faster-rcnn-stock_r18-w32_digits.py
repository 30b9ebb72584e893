# Faster R-CNN of MMDetection's own parts, on the embedded digits.
_base_ = ['../_base_/small_faster_rcnn.py', '../_base_/digits_320.py']
model = dict(
    # faster from scratch than the GroupNorm of the other small configs
    backbone=dict(norm_cfg=dict(_delete_=True, type='BN')),
    roi_head=dict(bbox_head=dict(num_classes=10)),
)
