# Stock RetinaNet on the embedded digits; tools/make_digits.py makes them.
_base_ = ['../_base_/small_retinanet.py', '../_base_/coco_folder.py']
data_root = 'data/digits/'
dataset = dict(data_root=data_root, metainfo=dict(classes=tuple('0123456789')))
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
model = dict(bbox_head=dict(num_classes=10))
