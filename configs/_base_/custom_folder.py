# One's own images: $DATA_ROOT is a folder that holds images/, train.json and
# val.json in COCO format. The classes are read.
_base_ = ['./small_schedule.py', './coco_folder.py']
# An import above `_base_` would make MMEngine take this for a lazy config.
from mmdet_metaanchor.datasets.coco import read_classes

data_root = '{{$DATA_ROOT:data/custom}}/'
classes = read_classes(data_root)
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
