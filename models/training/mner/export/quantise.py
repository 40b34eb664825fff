"""int8 for CPUs: static ranges for what flows, per-channel scales for what stands still.

Each large `MatMul` with constant weights becomes `QuantizeLinear` (a range fixed at calibration, never one of the batch at hand, so
that a tweet's answer does not depend on its neighbours; `rounding.py` chooses it) and `MatMulIntegerToFloat`, whose bias is the following `Add`. The plain
Q/DQ form of the same numbers runs three times slower: ONNX Runtime joins it only where the output is quantised too.

Activations are unsigned, weights signed with **seven bits** (-63…63): without VNNI, u8×s8 products are added in pairs in 16 bits and
saturate with eight; with seven they cannot, and the bundle gives the same answers on every machine.

Word embeddings are stored as int8 with one scale per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mner.export.rounding import Array, Range, choose_range, quantise_weight

SMALLEST = 16_000  # weights with fewer numbers stay as they are


def find_linears(model: onnx.ModelProto, keep: Callable[[Array], bool]) -> list[onnx.NodeProto]:
    """`MatMul` nodes over constant matrices that are large enough and that `keep` does not hold back."""
    constants = {t.name: t for t in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            weight = numpy_helper.to_array(constants[node.input[1]])
            if weight.ndim == 2 and weight.size >= SMALLEST and not keep(weight):
                found.append(node)
    return found


def calibrate(path: Path, read_by: dict[str, Array], feeds: Iterable[dict[str, NDArray]], sample: int = 1500) -> dict[str, Range]:
    """Run the float graph over real tweets and pick a range for each tensor; `read_by`: its name and the weights [K,N] that read it, side by side."""
    model = onnx.load(str(path))
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in read_by)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    seen: dict[str, list[Array]] = {t: [] for t in read_by}
    for feed in feeds:
        for name, value in zip(read_by, session.run(list(read_by), feed), strict=True):
            seen[name].append(value.reshape(-1, value.shape[-1]).astype(np.float32))
    random = np.random.default_rng(0)
    ranges = {}
    for name, weight in read_by.items():
        values = np.concatenate(seen.pop(name))
        largest = np.abs(values).max(0)
        if len(values) > sample:
            values = values[random.choice(len(values), sample, replace=False)]
        ranges[name] = choose_range(values, largest, weight)
    return ranges


def quantise(source: Path, target: Path, feeds: Iterable[dict[str, NDArray]], keep: Callable[[Array], bool] = lambda w: False) -> int:
    """Write the int8 graph; returns how many matrices were quantised. `keep` names weights that stay in float."""
    model = onnx.load(str(source))
    graph = model.graph
    linears = find_linears(model, keep)
    constants = {t.name: t for t in graph.initializer}
    weights: dict[str, list[Array]] = {}
    for node in linears:
        weights.setdefault(node.input[0], []).append(numpy_helper.to_array(constants[node.input[1]]))
    ranges = calibrate(source, {name: np.concatenate(some, 1) for name, some in weights.items()}, feeds)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    added: list[onnx.TensorProto] = []
    coded: set[str] = set()
    replaced: dict[int, list[onnx.NodeProto]] = {}
    dropped: set[int] = set()
    for i, node in enumerate(linears):
        value, weight_name = node.input
        limits = ranges[value]
        nodes = []
        if value not in coded:  # linears that share an input share its code
            coded.add(value)
            added += [
                numpy_helper.from_array(np.float32(limits.scale), f"{value}_scale"),
                numpy_helper.from_array(np.uint8(limits.zero), f"{value}_zero"),
            ]
            even = value
            if limits.divisors is not None:
                even = f"{value}_even"
                added.append(numpy_helper.from_array(1 / limits.divisors, f"{value}_factors"))
                nodes.append(helper.make_node("Mul", [value, f"{value}_factors"], [even]))
            nodes.append(helper.make_node("QuantizeLinear", [even, f"{value}_scale", f"{value}_zero"], [f"{value}_u8"]))
        weight = numpy_helper.to_array(constants[weight_name])
        coded_weight, scale = quantise_weight(weight if limits.divisors is None else weight * limits.divisors[:, None])
        added += [numpy_helper.from_array(coded_weight, f"linear{i}_s8"), numpy_helper.from_array(scale, f"linear{i}_scale")]

        output, bias = node.output[0], ""
        after = readers.get(output, [])
        if len(after) == 1 and after[0].op_type == "Add":
            other = next(n for n in after[0].input if n != output)
            if other in constants and len(constants[other].dims) == 1:
                bias, output = other, after[0].output[0]
                dropped.add(id(after[0]))
        inputs = [f"{value}_u8", f"linear{i}_s8", f"{value}_scale", f"linear{i}_scale", f"{value}_zero", "", bias]
        while not inputs[-1]:
            inputs.pop()
        nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [output], domain="com.microsoft"))
        replaced[id(node)] = nodes

    nodes = [new for old in graph.node if id(old) not in dropped for new in replaced.get(id(old), [old])]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(added)
    quantise_tables(model)
    drop_unused(model)
    if not any(o.domain == "com.microsoft" for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(target))
    return len(linears)


def quantise_tables(model: onnx.ModelProto, smallest: int = 100_000) -> None:
    """Embedding tables [N,d] as int8 with a scale per row: `Gather` both, `Cast`, `Mul`."""
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for i, node in enumerate(graph.node):
        table = constants.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or len(table.dims) != 2 or np.prod(table.dims) < smallest:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(table)
        scale = np.maximum(np.abs(values).max(1, keepdims=True) / 127, 1e-10).astype(np.float32)
        name = f"table{i}"
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}_s8"),
                numpy_helper.from_array(scale, f"{name}_scale"),
            ]
        )
        index, output = node.input[1], node.output[0]
        nodes += [
            helper.make_node("Gather", [f"{name}_s8", index], [f"{name}_rows"], axis=0),
            helper.make_node("Gather", [f"{name}_scale", index], [f"{name}_row_scales"], axis=0),
            helper.make_node("Cast", [f"{name}_rows"], [f"{name}_float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_float", f"{name}_row_scales"], [output]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
