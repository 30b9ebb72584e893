# MetaAnchor in an RPN alone.
_base_ = 'mmdet::rpn/rpn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        type='MetaRPNHead', anchor_generator=dict(type='MetaAnchorGenerator')
    )
)
# 'proposal_fast' fails with NumPy 1.24 and later.
val_evaluator = dict(metric='proposal')
test_evaluator = val_evaluator
