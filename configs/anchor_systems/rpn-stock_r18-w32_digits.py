# The RPN of Faster R-CNN alone, of MMDetection's own parts, on the digits.
_base_ = './faster-rcnn-stock_r18-w32_digits.py'
model = dict(
    _delete_=True,
    type='RPN',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    rpn_head=_base_.model.rpn_head,
    train_cfg=dict(rpn=_base_.model.train_cfg.rpn),
    test_cfg=dict(rpn=dict(_base_.model.test_cfg.rpn, max_per_img=1000)),
)
# Average recall at 100, 300 and 1 000 proposals; 'proposal_fast' fails with
# NumPy 1.24 and later where images have different numbers of boxes.
val_evaluator = dict(metric='proposal')
test_evaluator = val_evaluator
