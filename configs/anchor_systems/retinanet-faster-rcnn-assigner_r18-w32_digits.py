# RetinaNet that matches by the rule of FasterRCNNAssigner.
_base_ = '../digits/retinanet_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    train_cfg=dict(
        assigner=dict(
            _delete_=True,
            type='FasterRCNNAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
        )
    )
)
