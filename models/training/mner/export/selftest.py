"""The self-test of a bundle: a few inputs, and what its graph makes of them where it is built.

    python -m mner.export.selftest ../ham-int8 ../vision-int8

adds one to bundles that were exported without. The worker runs it before a bundle may read tweets (`src/serving/self-test.ts`, `docs/bundles.md`).
It is the graph itself that is asked, not PyTorch: the test finds what goes wrong between here and there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mner.bundle import GRAPH, MANIFEST, file_table, graph_signature
from mner.text.words import Pieces, numbers

FILE = "selftest.json"
#: Largest difference of any value, by precision. The int8 graphs have seven-bit weights, so they say the same on every machine.
TOLERANCE = {"int8": 0.02, "fp16": 0.05, "fp32": 0.005}
CASES: tuple[tuple[tuple[str, ...], bool], ...] = (
    (("Kobe", "Bryant", "scores", "60", "in", "his", "last", "game", "#MambaDay"), False),
    (("RT", "@nba", ":", "the", "Golden", "State", "Warriors", "win", "in", "Oakland", "http://t.co/x"), False),
    (("Kobe", "Bryant", "scores", "60", "in", "his", "last", "game", "#MambaDay"), True),
)

Feed = dict[str, NDArray[Any]]


def size(shape: list[Any]) -> list[int]:
    return [1, *(int(d) for d in shape[1:])]


def pattern(shape: list[int], times: int, modulus: int, divisor: int) -> NDArray[np.float16]:
    """Values that half precision holds exactly."""
    i = np.arange(int(np.prod(shape)))
    return (((i * times) % modulus - modulus // 2) / divisor).astype(np.float16).reshape(shape)


def picture_feed(inputs: dict[str, Any], picture: bool) -> Feed:
    feed: Feed = {"image": np.array([1.0 if picture else 0.0], np.float32)}
    feed["grid"] = pattern(size(inputs["grid"]["shape"]), 31, 17, 8) if picture else np.zeros(size(inputs["grid"]["shape"]), np.float16)
    feed["embedding"] = pattern(size(inputs["embedding"]["shape"]), 7, 5, 32) if picture else np.zeros(size(inputs["embedding"]["shape"]), np.float16)
    boxes = np.zeros(size(inputs["boxes"]["shape"]), np.float32)
    classes = np.zeros(size(inputs["object_classes"]["shape"]), np.int64)
    scores = np.zeros(size(inputs["object_scores"]["shape"]), np.float32)
    if picture:
        boxes[0, 0], classes[0, 0], scores[0, 0] = (0.25, 0.25, 0.75, 0.75), 1, 0.5
    return feed | {"boxes": boxes, "object_classes": classes, "object_scores": scores}


def text_feed(words: tuple[str, ...], pieces: Pieces) -> Feed:
    n = numbers(list(words), pieces)
    length = len(n.input_ids)
    return {
        "input_ids": np.array([n.input_ids], np.int64),
        "attention_mask": np.ones((1, length), np.int64),
        "word_of": np.array([n.word_of], np.int64),
        "first": np.array([n.first], np.int64),
        "chars": np.array([n.chars], np.int64),
        "flags": np.array([n.flags], np.float32),
    }


def cases_of(folder: Path, kind: str, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(feed: Feed, wanted: tuple[str, ...]) -> dict[str, list[float]]:
        outputs = dict(zip(names, session.run(None, {name: feed[name] for name in inputs}), strict=True))
        return {name: [round(float(v), 4) for v in outputs[name].ravel()] for name in wanted if name in outputs}

    if kind == "vision":
        shape = size(inputs["pixels"]["shape"])
        pixels = ((np.arange(int(np.prod(shape))) * 31) % 251).astype(np.uint8).reshape(shape)
        return [{"outputs": run({"pixels": pixels}, ("embedding",))}]
    pieces = Pieces(folder / "tokenizer.json")
    sees = "grid" in inputs
    cases = []
    for words, picture in CASES:
        if picture and not sees:
            continue
        feed = text_feed(words, pieces) | (picture_feed(inputs, picture) if sees else {})
        wanted = ("emissions", "relevance") if picture else ("emissions",)
        cases.append({"words": list(words), "picture": picture, "outputs": run(feed, wanted)})
    return cases


def write_selftest(folder: Path, kind: str, precision: str) -> None:
    """Write `selftest.json` of the bundle in `folder`. Call it when all other files are there, and before `write_manifest`."""
    inputs, _ = graph_signature(folder / GRAPH)
    test = {"schema": "mner-selftest/1", "tolerance": TOLERANCE[precision], "cases": cases_of(folder, kind, inputs)}
    (folder / FILE).write_text(json.dumps(test, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    for folder in parser.parse_args().bundles:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        write_selftest(folder, manifest["kind"], manifest["precision"])
        manifest["files"] = file_table(folder)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
