"""From a torch module to the ONNX graph that `docs/bundles.md` asks of a vision bundle."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

INPUT = "pixels"
OUTPUTS = ("grid", "embedding", "tags", "boxes", "object_scores")
OPSET = 17


def write_graph(module: nn.Module, side: int, path: Path) -> None:
    """Exports a module that maps uint8 pixels [B, side, side, 3] to the five outputs, with a dynamic batch.

    The fixed dimensions are written into the graph's signature, so that a reader need not run it to learn them.
    """
    module.eval()
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with torch.no_grad():
        shapes = [tuple(output.shape) for output in module(example)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), str(path), dynamo=False, opset_version=OPSET, input_names=[INPUT], output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in (INPUT, *OUTPUTS)},
        )  # fmt: skip
    graph = onnx.load(str(path))
    for output, shape in zip(graph.graph.output, shapes, strict=True):
        dimensions = output.type.tensor_type.shape.dim
        for dimension, size in zip(dimensions, ("batch", *shape[1:]), strict=True):
            if isinstance(size, str):
                dimension.dim_param = size
            else:
                dimension.dim_value = size
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
