"""A trained model without the plugin: stock checkpoints and ONNX files."""
