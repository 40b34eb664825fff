"""From PyTorch modules to ONNX graphs the worker can run."""
