"""fp32 graph -> static int8: u8 activations, s8 weights by channel, seven bits of them.

The eighth bit is left out because u8 x s8 products saturate in 16 bits on processors without VNNI: with seven every machine gives
the same answer. Everything after the heads (softmax, boxes) stays in floating point, and so does the small object layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from .graph import INPUT

QUANTIZED = ["Conv", "Add", "AveragePool", "Resize", "MatMul", "Gemm"]
SPATIAL = {"Conv", "Relu", "AveragePool", "Resize", "Add"}


class Pixels(CalibrationDataReader):
    """Feeds canvases [n, S, S, 3] uint8 in small batches."""

    def __init__(self, canvases: np.ndarray, batch: int = 8) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.array_split(canvases, max(1, len(canvases) // batch)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        part = next(self.batches, None)
        return None if part is None else {INPUT: part}


def kept_in_floating_point(graph: onnx.GraphProto) -> list[str]:
    """The blur of the pixels; the object layer, whose 85 outputs are box, objectness and class logits at once; sums that are not residual."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    kept = []
    for node in graph.node:
        outside = node.op_type == "Conv" and weights[node.input[1]][0] in (3, 85)
        residual = all(made_by.get(name) in SPATIAL for name in node.input)
        if outside or (node.op_type == "Add" and not residual):
            kept.append(node.name)
    return kept


def quantize(full: Path, small: Path, canvases: np.ndarray) -> None:
    """canvases [n, S, S, 3] uint8: training pictures whose activations set the ranges."""
    graph = onnx.load(str(full)).graph
    quantize_static(
        str(full), str(small), Pixels(canvases), quant_format=QuantFormat.QDQ, op_types_to_quantize=QUANTIZED,
        nodes_to_exclude=kept_in_floating_point(graph), per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"], "CalibMovingAverage": True},
    )  # fmt: skip
