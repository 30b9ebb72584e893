# The MobileNetV2 of ImageNet that tools/mobilenet_v2.py fetches; the first
# half of it keeps its weights. For `model.backbone` and for the neck's input.
mobilenet_v2 = dict(
    _delete_=True,
    type='MobileNetV2',
    out_indices=(1, 2, 4, 7),
    frozen_stages=4,
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='data/mobilenet_v2.pth'),
)
mobilenet_v2_channels = [24, 32, 96, 1280]
