# The embedded digits, which tools/make_digits.py makes, and their schedule.
_base_ = ['./small_schedule.py', './coco_folder.py']
data_root = 'data/digits/'
dataset = dict(data_root=data_root, metainfo=dict(classes=tuple('0123456789')))
train_pipeline = [  # without flips, which no digit survives
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
# About 3 minutes on 2 CPU cores.
train_cfg = dict(max_epochs=8, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', T_max=8, convert_to_iter_based=True),
]
