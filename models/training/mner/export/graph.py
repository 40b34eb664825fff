"""PyTorch module → ONNX graph with the inputs and outputs of `docs/bundles.md`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mner.families.ham import HamConfig
from mner.text.words import CHARS_PER_WORD, FLAGS

OPSET = 17
INPUTS = (
    "input_ids", "attention_mask", "word_of", "first", "chars", "flags",
    "image", "grid", "embedding", "boxes", "object_classes", "object_scores",
)  # fmt: skip
OUTPUTS = ("emissions", "relevance", "regions")
OVER_PIECES = ("input_ids", "attention_mask", "token_type_ids", "word_of")
OVER_WORDS = ("first", "chars", "flags", "neighbours", "neighbour_weights", "emissions")


def dynamic_axes(names: Iterable[str]) -> dict[str, dict[int, str]]:
    second = {name: "pieces" for name in OVER_PIECES} | {name: "words" for name in OVER_WORDS}
    return {name: {0: "batch"} | ({1: second[name]} if name in second else {}) for name in names}


def example_inputs(c: HamConfig, vocabulary: int, batch: int = 3, words: int = 5, pieces: int = 9) -> tuple[Tensor, ...]:
    """A batch to trace with: its values do not matter, its shapes and types do."""
    g = torch.Generator().manual_seed(0)
    first = torch.arange(1, words + 1).repeat(batch, 1)
    word_of = torch.zeros(batch, pieces, dtype=torch.int64)
    word_of[:, 1 : words + 1] = torch.arange(1, words + 1)
    corner = torch.rand(batch, c.objects, 2, generator=g) * 0.5
    return (
        torch.randint(5, vocabulary, (batch, pieces), generator=g),
        torch.ones(batch, pieces, dtype=torch.int64),
        word_of,
        first,
        torch.randint(0, 90, (batch, words, CHARS_PER_WORD), generator=g),
        torch.rand(batch, words, FLAGS, generator=g).round(),
        torch.ones(batch),
        torch.randn(batch, c.cells, c.grid_width, generator=g).half(),
        torch.randn(batch, c.embedding_width, generator=g).half(),
        torch.cat([corner, corner + 0.4], 2),
        torch.randint(0, c.classes + 1, (batch, c.objects), generator=g),
        torch.rand(batch, c.objects, generator=g),
    )


def export_graph(model: nn.Module, c: HamConfig, vocabulary: int, path: Path) -> None:
    """`ham`'s graph, with every input and output of `INPUTS` and `OUTPUTS`."""
    example = dict(zip(INPUTS, example_inputs(c, vocabulary), strict=True))
    heads = model.text.config.heads  # type: ignore[union-attr]
    shapes = {"emissions": ("batch", "words", heads, 9), "relevance": ("batch",), "regions": ("batch", c.cells + c.objects + 1)}
    trace(model, example, shapes, path)


def trace(model: nn.Module, example: dict[str, Tensor], outputs: dict[str, tuple[str | int, ...]], path: Path) -> None:
    """Trace a model in evaluation mode over inputs in its own order, and write one self-contained graph with outputs of these shapes."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            tuple(example.values()),
            str(path),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_axes=dynamic_axes([*example, *outputs]),
            opset_version=OPSET,
            custom_opsets={"com.microsoft": 1},
            dynamo=False,
        )
    graph = onnx.load(str(path))
    for value in graph.graph.output:  # the tracer names what it cannot see; the contract has its own names
        shape = value.type.tensor_type.shape
        while len(shape.dim) < len(outputs[value.name]):
            shape.dim.add()
        for dim, wanted in zip(shape.dim, outputs[value.name], strict=True):
            if isinstance(wanted, str):
                dim.dim_param = wanted
            else:
                dim.dim_value = wanted
    onnx.save(graph, str(path))
    fold_constants(path)


def fold_constants(path: Path) -> None:
    """Let ONNX Runtime fold what is constant and drop what is dead; only standard rewrites, so the graph runs everywhere."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tidy(path)


def tidy(path: Path) -> None:
    """Drop what only a debugger wants: inferred shapes, scopes of the tracer, opsets that no node uses."""
    graph = onnx.load(str(path))
    del graph.graph.value_info[:]
    del graph.metadata_props[:]
    graph.producer_name, graph.producer_version, graph.doc_string = "mner-stream", "", ""
    graph.graph.name = "ner"
    used = {node.domain for node in graph.graph.node}
    kept = [o for o in graph.opset_import if o.domain in used or not o.domain]
    del graph.opset_import[:]
    graph.opset_import.extend(kept)
    names: dict[str, str] = {v.name: v.name for v in (*graph.graph.input, *graph.graph.output)}
    for i, tensor in enumerate(graph.graph.initializer):
        names.setdefault(tensor.name, f"w{i}")
        tensor.name = names[tensor.name]
    for i, node in enumerate(graph.graph.node):
        node.doc_string, node.name = "", f"{node.op_type}_{i}"
        del node.metadata_props[:]
        for j, name in enumerate(node.output):
            if name:
                names.setdefault(name, f"t{i}_{j}" if j else f"t{i}")
    for node in graph.graph.node:
        for side in (node.input, node.output):
            for j, name in enumerate(side):
                if name:
                    side[j] = names[name]
    onnx.save(graph, str(path))
