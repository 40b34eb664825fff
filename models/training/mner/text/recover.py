"""A checkpoint out of a bundle: the text branch of `ham-int8`, read back from its int8 graph.

    python -m mner.text.recover ../ham-int8 --out .work/shipped.pt

A bundle is all that is left where the checkpoints of its training were not kept. What comes back differs from what went in by the rounding of
the weights alone, so it can teach a student, or be trained on. Word embeddings were frozen in training: they are MiniLM's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from mner.bundle import GRAPH, MANIFEST
from mner.labels import CONVENTIONS
from mner.text.branch import TextConfig
from mner.text.encoder import minilm_folder
from mner.text.train import Tagger

Array = NDArray[Any]


class Graph:
    """The nodes of an int8 graph in their order, and its constants."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(str(path))
        self.nodes = list(model.graph.node)
        self.constants: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}

    def linears(self) -> list[tuple[Array, Array]]:
        """Weight [in,out] and bias [out] of each int8 matrix product that has a bias, scales multiplied back in."""
        made_by = {name: node for node in self.nodes for name in node.output}
        out = []
        for node in self.nodes:
            if node.op_type == "MatMulIntegerToFloat" and len(node.input) == 7:
                weight, scale, bias = (self.constants[node.input[i]] for i in (1, 3, 6))
                before = made_by.get(made_by[node.input[0]].input[0])
                # No other product with a constant of this length stands before a matrix of a text branch.
                factors = self.constants.get(before.input[1]) if before and before.op_type == "Mul" else None
                evened = factors is not None and factors.shape == (len(weight),)  # by mner.export.rounding
                out.append((weight * scale * factors[:, None] if evened else weight * scale, bias))
        return out

    def of(self, kind: str) -> list[list[Array]]:
        """Constants of each node of this kind."""
        return [[self.constants[x] for x in n.input if x in self.constants] for n in self.nodes if n.op_type == kind]

    def table(self, rows: int) -> Array:
        """An embedding table of so many rows, as int8 with a scale per row or plain."""
        tables = [t[0] for t in self.of("Gather") if t and t[0].ndim == 2 and t[0].shape[0] == rows]
        whole = tables[0].astype(np.float32)
        return whole * tables[1] if len(tables) > 1 else whole


def recover(folder: Path) -> Tagger:
    """The text branch and the CRF of a bundle with the two heads of the product."""
    graph = Graph(folder / GRAPH)
    config = TextConfig(heads=len(CONVENTIONS))
    width, inner, features = config.encoder.width, config.encoder.inner, config.features
    model = Tagger(config)
    model.branch.encoder.load_minilm(minilm_folder())

    state: dict[str, Array] = {}
    shapes = {"mix": (-1, features), "inject": (features, width)}
    layer = {"query_key_value": (width, 3 * width), "out": (width, width), "up": (width, inner), "down": (inner, width)}
    wanted = [(f"branch.{name}" if name == "inject" else f"branch.features.{name}", shape) for name, shape in shapes.items()]
    wanted += [(f"branch.encoder.layers.{i}.{name}", shape) for i in range(config.encoder.layers) for name, shape in layer.items()]
    linears = iter(graph.linears())
    for name, shape in wanted:
        weight, bias = next(linears)
        if weight.shape[1] != shape[1] or (shape[0] > 0 and weight.shape[0] != shape[0]):
            raise ValueError(f"{folder}: {weight.shape} stands where {name} is expected")
        state |= {f"{name}.weight": weight.T, f"{name}.bias": bias}

    norms = ["branch.features.norm", "branch.encoder.norm"]
    norms += [f"branch.encoder.layers.{i}.{n}" for i in range(config.encoder.layers) for n in ("norm", "last_norm")]
    for name, (weight, bias) in zip(norms, graph.of("LayerNormalization"), strict=False):
        state |= {f"{name}.weight": weight, f"{name}.bias": bias}

    convolutions = {c[0].shape[2]: c for c in graph.of("Conv")}
    for name, span in (("narrow", 3), ("wide", 5)):
        state |= {f"branch.features.{name}.weight": convolutions[span][0], f"branch.features.{name}.bias": convolutions[span][1]}
    state["branch.features.chars.weight"] = graph.table(model.branch.features.chars.num_embeddings)
    state["branch.encoder.positions.weight"] = graph.table(config.encoder.positions)
    place = next(n for n in graph.nodes if n.op_type == "Add" and any(c.shape == (width,) for c in _constants(graph, n)))
    state["branch.encoder.segment"] = _constants(graph, place)[0]

    labels = model.branch.output.out_features
    product = next(n for n in graph.nodes if n.op_type == "MatMul" and any(c.shape == (config.state, labels) for c in _constants(graph, n)))
    after = next(n for n in graph.nodes if product.output[0] in n.input)
    state |= {"branch.output.weight": _constants(graph, product)[0].T, "branch.output.bias": _constants(graph, after)[0]}

    heads = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["heads"]
    for ours, theirs in (("transitions_free", "transitions"), ("start_free", "start"), ("end", "end")):
        values = np.stack([np.array(heads[c][theirs], np.float32) for c in CONVENTIONS])
        state[f"crf.{ours}"] = np.where(values <= -9999, 0, values)
    missing, unknown = model.load_state_dict({k: torch.from_numpy(np.array(v, np.float32)) for k, v in state.items()}, strict=False)
    if unknown or missing != ["branch.encoder.words.weight"]:
        raise ValueError(f"{folder}: {missing} not found, {unknown} not known")
    return model.eval()


def _constants(graph: Graph, node: onnx.NodeProto) -> list[Array]:
    return [graph.constants[x] for x in node.input if x in graph.constants]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = recover(args.bundle)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"config": model.branch.config.to_json(), "model": model.state_dict(), "epoch": 0, "args": {}}, args.out)


if __name__ == "__main__":
    main()
