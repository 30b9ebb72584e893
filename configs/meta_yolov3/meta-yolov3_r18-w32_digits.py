# The MetaAnchor twin of YOLOv3 on the embedded digits.
_base_ = '../anchor_systems/yolov3-stock_r18-w32_digits.py'
custom_imports = dict(imports=['mmdet_metaanchor'])
model = dict(
    bbox_head=dict(
        type='MetaYOLOV3Head',
        anchor_generator=dict(
            _delete_=True,
            type='MetaAnchorGenerator',
            priors=_base_.model.bbox_head.anchor_generator,
            # A level has few shapes: see docs/detectors.md.
            jitter=0.5,
        ),
    )
)
