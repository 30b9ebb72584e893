# RetinaNet that matches by the rule of SSDAssigner.
_base_ = '../digits/retinanet_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    train_cfg=dict(
        assigner=dict(_delete_=True, type='SSDAssigner', iou_thr=0.5)
    )
)
