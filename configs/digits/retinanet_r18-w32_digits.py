# Stock RetinaNet on the embedded digits; tools/make_digits.py makes them.
_base_ = ['../_base_/small_retinanet.py', '../_base_/digits.py']
model = dict(bbox_head=dict(num_classes=10))
