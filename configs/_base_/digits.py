# The embedded digits, which tools/make_digits.py makes, and their schedule:
# about 4 minutes on 2 CPU cores. DIGITS_ROOT names another set of them.
_base_ = ['./small_schedule.py', './coco_folder.py']
data_root = '{{$DIGITS_ROOT:data/digits}}/'
dataset = dict(data_root=data_root, metainfo=dict(classes=tuple('0123456789')))
image_scale = (256, 192)
train_pipeline = [  # without flips, which no digit survives
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_scale
# To tell ten digits apart takes more steps than to find them.
train_dataloader = dict(
    batch_size=2, dataset=dict(pipeline=train_pipeline, **dataset)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=8, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', T_max=8, convert_to_iter_based=True),
]
