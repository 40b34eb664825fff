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
from mner.text.context import ContextSettings, context_pieces, with_context
from mner.text.neighbours import FILE as NEIGHBOURS
from mner.text.neighbours import read_neighbours
from mner.text.words import Pieces, char_codes, flags, numbers

TOKENIZER = "tokenizer.json"
FILE = "selftest.json"
#: Largest difference of any value, by precision. The int8 graphs have seven-bit weights, so they say the same on every machine.
TOLERANCE = {"int8": 0.02, "fp16": 0.05, "fp32": 0.005}
KOBE = ("Kobe", "Bryant", "scores", "60", "in", "his", "last", "game", "#MambaDay")
#: Words, whether there is a picture, and the text beside the tweet.
CASES: tuple[tuple[tuple[str, ...], bool, str], ...] = (
    (KOBE, False, ""),
    (("RT", "@nba", ":", "the", "Golden", "State", "Warriors", "win", "in", "Oakland", "http://t.co/x"), False, ""),
    (KOBE, True, ""),
    (KOBE, False, "a man in a yellow shirt throws a ball . person, sports ball"),
)
#: The inputs that are made of a picture.
PICTURE = {"image", "grid", "embedding", "boxes", "object_classes", "object_scores", "tags", "tag_scores"}

Feed = dict[str, NDArray[Any]]


def size(shape: list[Any]) -> list[int]:
    return [1, *(int(d) for d in shape[1:])]


def pattern(shape: list[int], times: int, modulus: int, divisor: int) -> NDArray[np.float16]:
    """Values that half precision holds exactly."""
    i = np.arange(int(np.prod(shape)))
    return (((i * times) % modulus - modulus // 2) / divisor).astype(np.float16).reshape(shape)


def picture_feed(inputs: dict[str, Any], picture: bool) -> Feed:
    """Those of a picture's inputs that the graph has: a made-up picture, or none."""
    kinds = {"float16": np.float16, "float32": np.float32, "int64": np.int64}
    feed: Feed = {name: np.zeros(size(v["shape"]), kinds[v["type"]]) for name, v in inputs.items() if name in PICTURE}
    if not picture:
        return feed
    for name, times, modulus, divisor in (("grid", 31, 17, 8), ("embedding", 7, 5, 32)):
        if name in feed:
            feed[name] = pattern(size(inputs[name]["shape"]), times, modulus, divisor)
    first = {"boxes": (0.25, 0.25, 0.75, 0.75), "object_classes": 1, "object_scores": 0.5, "tags": 1, "tag_scores": 0.5}
    for name, value in first.items():
        if name in feed:
            feed[name][0, 0] = value
    if "image" in feed:
        feed["image"][0] = 1
    return feed


def text_feed(words: tuple[str, ...], context: str, folder: Path, inputs: dict[str, Any], max_pieces: int) -> Feed:
    feed: Feed = {
        "chars": np.array([[char_codes(word) for word in words]], np.int64),
        "flags": np.array([flags(words)], np.float32),
    }
    if (folder / TOKENIZER).exists():
        pieces = Pieces(folder / TOKENIZER)
        n = numbers(list(words), pieces)
        row = with_context(n, context_pieces(context, pieces), pieces, max_pieces)
        feed |= {
            "input_ids": np.array([row.input_ids], np.int64),
            "attention_mask": np.ones((1, len(row.input_ids)), np.int64),
            "token_type_ids": np.array([row.token_type_ids], np.int64),
            "word_of": np.array([row.word_of], np.int64),
            "first": np.array([n.first], np.int64),
        }
    if "neighbours" in inputs or "neighbour_weights" in inputs:
        rows, weights = read_neighbours(folder / NEIGHBOURS).of_words(words)
        feed |= {"neighbours": rows[None], "neighbour_weights": weights[None]}
    return feed


def cases_of(folder: Path, kind: str, inputs: dict[str, Any], context: ContextSettings | None) -> list[dict[str, Any]]:
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
    cases = []
    for words, picture, beside in CASES:
        if (picture and not PICTURE & set(inputs)) or (beside and context is None):
            continue
        feed = text_feed(words, beside, folder, inputs, context.max_pieces if context else 512) | picture_feed(inputs, picture)
        case: dict[str, Any] = {"words": list(words), "picture": picture, **({"context": beside} if beside else {})}
        cases.append(case | {"outputs": run(feed, ("emissions", "relevance") if picture else ("emissions",))})
    return cases


def write_selftest(folder: Path, kind: str, precision: str, context: ContextSettings | None = None) -> None:
    """Write `selftest.json` of the bundle in `folder`. Call it when all other files are there, and before `write_manifest`.

    `context` is the manifest's field of that name, for a bundle that reads text beside the tweet.
    """
    inputs, _ = graph_signature(folder / GRAPH)
    test = {"schema": "mner-selftest/1", "tolerance": TOLERANCE[precision], "cases": cases_of(folder, kind, inputs, context)}
    (folder / FILE).write_text(json.dumps(test, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    for folder in parser.parse_args().bundles:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        beside = manifest.get("context")
        context = ContextSettings(**beside | {"sources": tuple(beside["sources"])}) if beside else None
        write_selftest(folder, manifest["kind"], manifest["precision"], context)
        manifest["files"] = file_table(folder)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
