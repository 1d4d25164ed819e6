"""Packaged models as ONNX graphs."""
