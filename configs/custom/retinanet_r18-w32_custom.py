# Stock RetinaNet on one's own images, see ../_base_/custom_folder.py.
_base_ = ['../_base_/small_retinanet.py', '../_base_/custom_folder.py']
model = dict(bbox_head=dict(num_classes=len(_base_.classes)))
