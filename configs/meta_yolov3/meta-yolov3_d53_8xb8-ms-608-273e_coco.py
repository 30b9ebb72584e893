# MetaAnchor on YOLOv3.
_base_ = 'mmdet::yolo/yolov3_d53_8xb8-ms-608-273e_coco.py'
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
