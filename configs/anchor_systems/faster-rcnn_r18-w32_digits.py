# Faster R-CNN as published: the matching of its RPN, and finite codes.
_base_ = './faster-rcnn-stock_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    rpn_head=dict(
        bbox_coder=dict(type='DeltaXYWHVarianceBBoxCoder', variances=[1.0] * 4)
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                _delete_=True,
                type='FasterRCNNAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
            )
        )
    ),
)
