"""A detector's ONNX files in fp32, fp16 and int8."""

from pathlib import Path

from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmdet_metaanchor import MetaHeadMixin, bake_anchors, export_onnx
from mmdet_metaanchor.datasets.coco import read_images

FP32, FREE = 'fp32', 'fp32, anchors as inputs'
# What quantisation needs ranges of: elsewhere boxes would be rounded.
QUANTISED = ['Conv']
CALIBRATION = 50


def write_files(
    model: nn.Module, cfg: Config, folder: Path
) -> tuple[dict[str, Path], Config]:
    """ONNX files of a detector.

    Args:
        model (nn.Module): Stock or MetaAnchor.
        cfg (Config): Its config, whose images of train calibrate int8.
        folder (Path): Where the files go.

    Returns:
        tuple[dict[str, Path], Config]: The files by their precision, and the
        ``test_cfg`` of the stock detector.
    """
    images = read_images(cfg, 'train')
    names = (FP32, 'fp16', 'int8, dynamic', 'int8, calibrated')
    files = {name: folder / f'{i}.onnx' for i, name in enumerate(names)}
    if isinstance(getattr(model, 'bbox_head', None), MetaHeadMixin):
        files[FREE] = folder / f'{len(names)}.onnx'
        export_onnx(model, files[FREE], anchors_as_input=True)
        stock_cfg, state = bake_anchors(model, cfg)
        model = MODELS.build(stock_cfg.model).eval()
        model.load_state_dict(state)
    fp32, fp16, weights, int8 = (files[name] for name in names)
    export_onnx(model, fp32, decode=True)
    _to_half(fp32, fp16)
    _quantise_weights(fp32, weights)
    _quantise(fp32, int8, images)
    return files, model.test_cfg


def _to_half(source: Path, out: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Inputs and outputs stay fp32: 16 bits know no tenth of a px above 256.
    half = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    onnx.save(half, out)


def _quantise_weights(source: Path, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ConvInteger of onnxruntime takes unsigned weights alone.
    quantize_dynamic(
        source,
        out,
        op_types_to_quantize=QUANTISED,
        weight_type=QuantType.QUInt8,
    )


def _quantise(source: Path, out: Path, images: CocoDataset) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            numbers = range(min(CALIBRATION, len(images)))
            self.batches = (
                {'images': images[i]['inputs'][None].float().numpy()}
                for i in numbers
            )

        def get_next(self) -> dict | None:
            return next(self.batches, None)

    prepared = out.with_suffix('.prepared.onnx')
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        Reader(),
        op_types_to_quantize=QUANTISED,
        per_channel=True,
    )
    prepared.unlink()
