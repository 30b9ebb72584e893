# The embedded digits at the size of their images: 256x192 px is too coarse for
# detectors that learn from few priors. 12 epochs.
_base_ = './digits.py'
image_scale = (320, 240)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = image_scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_scale
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=12, val_interval=4)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = 12
