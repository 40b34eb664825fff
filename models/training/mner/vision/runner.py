"""Runs a vision bundle as the worker does: one thread, the picture squashed to a square, objects suppressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort
from PIL import Image

from .canvases import decode, read_shard
from .graph import INPUT, OUTPUTS
from .objects import BEST, Found, select
from .store import SHARDS, Paths

TAGS_KEPT = 10
T = TypeVar("T")


@dataclass
class Features:
    """Features of n pictures, as the worker stores them."""

    ids: list[str]
    grid: np.ndarray
    """[n, 25, 192] float16"""
    embedding: np.ndarray
    """[n, 384] float16, unit length"""
    boxes: np.ndarray
    """[n, 5, 4] float32"""
    object_classes: np.ndarray
    """[n, 5] int64, class index plus one, 0 for none"""
    object_scores: np.ndarray
    """[n, 5] float32"""
    tags: np.ndarray
    """[n, 10] int64, best first"""
    tag_scores: np.ndarray
    """[n, 10] float32"""

    def objects(self, row: int) -> Found:
        count = int((self.object_classes[row] > 0).sum())
        return Found(self.boxes[row, :count], self.object_scores[row, :count], self.object_classes[row, :count] - 1)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished.npz")
        arrays = {name: value for name, value in vars(self).items() if name != "ids"}
        np.savez(unfinished, ids=np.array(self.ids), **arrays)
        unfinished.rename(path)

    def rows(self, chosen: np.ndarray) -> Features:
        arrays = {name: value[chosen] for name, value in vars(self).items() if name != "ids"}
        return Features([self.ids[row] for row in chosen], **arrays)


def read_features(path: Path) -> Features:
    with np.load(path) as arrays:
        return Features(arrays["ids"].tolist(), **{name: arrays[name] for name in arrays.files if name != "ids"})


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


class Runner:
    """An ONNX Runtime session of a vision graph."""

    def __init__(self, graph: Path, threads: int = 1) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
        self.side = int(self.session.get_inputs()[0].shape[1])

    def pixels(self, picture: Image.Image) -> np.ndarray:
        """[S, S, 3] uint8."""
        return np.asarray(picture.convert("RGB").resize((self.side, self.side), Image.Resampling.LANCZOS))

    def run(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """[B, S, S, 3] -> the graph's outputs by name."""
        return dict(zip(OUTPUTS, self.session.run(list(OUTPUTS), {INPUT: pixels}), strict=True))

    def features(self, pictures: Iterable[tuple[str, Image.Image]], batch: int = 8) -> tuple[Features, np.ndarray]:
        """Features of (id, picture) pairs, and all tag probabilities [n, 1001] float16."""
        ids, outs = [], []
        for part in batches(pictures, batch):
            ids += [key for key, _ in part]
            outs.append(self.run(np.stack([self.pixels(picture) for _, picture in part])))
        out = {name: np.concatenate([o[name] for o in outs]) for name in OUTPUTS}
        return pack(ids, out), out["tags"]


def pack(ids: list[str], out: dict[str, np.ndarray]) -> Features:
    """The worker's post-processing of a graph's outputs."""
    count = len(ids)
    boxes, scores = np.zeros((count, BEST, 4), np.float32), np.zeros((count, BEST), np.float32)
    classes = np.zeros((count, BEST), np.int64)
    for row in range(count):
        found = select(out["boxes"][row], out["object_scores"][row])
        most = len(found.scores)
        boxes[row, :most], scores[row, :most], classes[row, :most] = found.boxes, found.scores, found.classes + 1
    tags = np.argsort(-out["tags"].astype(np.float32), 1, kind="stable")[:, :TAGS_KEPT]
    tag_scores = np.take_along_axis(out["tags"], tags, 1).astype(np.float32)
    return Features(ids, out["grid"], out["embedding"], boxes, classes, scores, tags, tag_scores)


def shard_pictures(paths: Paths, source: str, wanted: set[str] | None = None) -> Iterator[tuple[str, Image.Image]]:
    """(key, picture) of a shard, by key; only `wanted` keys where given."""
    for key, content, _ in read_shard(paths.data / SHARDS[source]):
        picture = decode(content) if wanted is None or key in wanted else None
        if picture is not None:
            yield key, picture
