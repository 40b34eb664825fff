"""fp16 for GPUs: all of the graph in half precision but its inputs, its outputs, norms and softmax (which sum long rows), and word embeddings.

Word embeddings stay int8 with a scale for each row, as in the int8 graph: they are half of all parameters, and a lookup computes nothing.
On a CPU ONNX Runtime puts a cast around each operator that it has in float32 only: slow, but the same numbers, so the graph can be measured anywhere.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from mner.export.quantise import drop_unused, quantise_tables

#: Besides what ONNX Runtime has in float32 only: a mean of squares over 384 numbers may leave half precision.
IN_FLOAT = ("LayerNormalization", "ReduceMean", "ReduceL2", "ReduceSum", "LpNormalization", "Softmax")
LARGEST = 1e4  # what stands for minus infinity in a mask


def halve(source: Path, target: Path) -> None:
    """Write the graph in half precision, with the inputs and outputs that it has."""
    model = onnx.load(str(source))
    quantise_tables(model)
    drop_unused(model)
    blocked = [*DEFAULT_OP_BLOCK_LIST, *IN_FLOAT]
    halved = convert_float_to_float16(model, max_finite_val=LARGEST, keep_io_types=True, op_block_list=blocked)
    once = {tuple(node.output): node for node in halved.graph.node}  # the converter casts a constant once for each of its readers, under one name
    del halved.graph.node[:]
    halved.graph.node.extend(once.values())
    onnx.save(halved, str(target))
