"""int8 for CPUs: static ranges for what flows, per-channel scales for what stands still.

Each large `MatMul` with constant weights becomes `QuantizeLinear` (a range fixed at calibration, never one of the batch at hand, so
that a tweet's answer does not depend on its neighbours) and `MatMulIntegerToFloat`, whose bias is the following `Add`. The plain
Q/DQ form of the same numbers runs three times slower: ONNX Runtime joins it only where the output is quantised too.

Activations are unsigned, weights signed with **seven bits** (-63…63): without VNNI, u8×s8 products are added in pairs in 16 bits and
saturate with eight; with seven they cannot, and the bundle gives the same answers on every machine.

Word embeddings are stored as int8 with one scale per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float32]
WEIGHT_LIMIT = 63
SMALLEST = 16_000  # weights with fewer numbers stay as they are


@dataclass(frozen=True, slots=True)
class Range:
    scale: float
    zero: int


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


def best_range(values: Array, steps: int = 24) -> Range:
    """The 8-bit range with the least squared error over these values, zero always inside it."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best, chosen = np.inf, Range(1.0, 0)
    for share in np.linspace(1.0, 0.3, steps):
        scale = max((high - low) * share / 255, 1e-8)
        zero = int(np.clip(round(-low * share / scale), 0, 255))
        coded = np.clip(np.rint(values / scale) + zero, 0, 255)
        error = float(np.square((coded - zero) * scale - values).mean())
        if error < best:
            best, chosen = error, Range(scale, zero)
    return chosen


def calibrate(path: Path, tensors: list[str], feeds: Iterable[dict[str, NDArray]], sample: int = 400_000) -> dict[str, Range]:
    """Run the float graph over real tweets and pick a range for each tensor."""
    model = onnx.load(str(path))
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    seen: dict[str, list[Array]] = {t: [] for t in tensors}
    for feed in feeds:
        for name, value in zip(tensors, session.run(tensors, feed), strict=True):
            seen[name].append(value.reshape(-1).astype(np.float32))
    random = np.random.default_rng(0)
    ranges = {}
    for name in tensors:
        values = np.concatenate(seen.pop(name))
        extremes = values[[values.argmin(), values.argmax()]]
        if len(values) > sample:
            values = np.concatenate([random.choice(values, sample, replace=False), extremes])
        ranges[name] = best_range(values)
    return ranges


def quantise_weight(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """weight [K,N] → int8 [K,N] and one scale per column [N]"""
    scale = np.maximum(np.abs(weight).max(0) / WEIGHT_LIMIT, 1e-10).astype(np.float32)
    return np.clip(np.rint(weight / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8), scale


def quantise(source: Path, target: Path, feeds: Iterable[dict[str, NDArray]], keep: Callable[[Array], bool] = lambda w: False) -> int:
    """Write the int8 graph; returns how many matrices were quantised. `keep` names weights that stay in float."""
    model = onnx.load(str(source))
    graph = model.graph
    linears = find_linears(model, keep)
    ranges = calibrate(source, sorted({n.input[0] for n in linears}), feeds)
    constants = {t.name: t for t in graph.initializer}
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
            nodes.append(helper.make_node("QuantizeLinear", [value, f"{value}_scale", f"{value}_zero"], [f"{value}_u8"]))
        weight, scale = quantise_weight(numpy_helper.to_array(constants[weight_name]))
        added += [numpy_helper.from_array(weight, f"linear{i}_s8"), numpy_helper.from_array(scale, f"linear{i}_scale")]

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
