"""Semantic augmentation (MCG): the nearest neighbours of each word, as the file `neighbours.bin` of a bundle (`docs/bundles.md`, "Neighbours").

The vectors themselves are a table in the graph. Row 0 is none; the word at place i of `Vectors.words` has row i + 1. The worker reads the file in
`src/text/neighbours.ts`.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mner.text.words import is_url, read_blank

FILE = "neighbours.bin"
MAGIC = b"MNERNB1\n"
NEAREST = 4
HEAD = len(MAGIC) + 8


def form_of(word: str) -> str:
    """What a word is looked up by."""
    word = read_blank(word)
    return "http" if is_url(word) else (word.lstrip("#@") or word).lower()


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Rows and weights of the neighbours of W words, best first; row 0 and weight 0 for none."""

    words: tuple[str, ...]  # [W] forms
    rows: NDArray[np.uint32]  # [W,4]
    weights: NDArray[np.float32]  # [W,4]
    table_rows: int  # V

    def of(self, word: str) -> tuple[list[int], list[float]]:
        """Rows and weights for one word of a tweet; zeros where it is not known. `words` are in the order of `write`."""
        form = form_of(word).encode()
        at = bisect_left(self.words, form, key=str.encode)
        if at == len(self.words) or self.words[at].encode() != form:
            return [0] * NEAREST, [0.0] * NEAREST
        return self.rows[at].tolist(), self.weights[at].tolist()

    def of_words(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The inputs `neighbours` and `neighbour_weights` of a tweet: [T,4] both."""
        found = [self.of(word) for word in words]
        rows = np.array([r for r, _ in found], np.int64).reshape(-1, NEAREST)
        return rows, np.array([w for _, w in found], np.float32).reshape(-1, NEAREST)


def nearest(words: Sequence[str], vectors: NDArray[np.float32], block: int = 1024) -> Neighbours:
    """The four nearest of each word by cosine, itself left out, weighted by the softmax of their cosines.

    `words` are forms, each once; the vector of `words[i]` is row i + 1 of the graph's table, [W + 1, D], whose row 0 is `table_of`'s zeros.
    """
    if len(set(words)) != len(words) or any(form_of(word) != word for word in words):
        raise ValueError("each word must be a form, and stand there once")
    count, near = len(words), min(NEAREST, max(0, len(words) - 1))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    rows = np.zeros((count, NEAREST), np.uint32)
    weights = np.zeros((count, NEAREST), np.float32)
    for begin in range(0, count, block) if near else ():
        cosine = unit[begin : begin + block] @ unit.T
        own = np.arange(len(cosine))
        cosine[own, begin + own] = -np.inf
        best = np.argsort(-cosine, axis=1, kind="stable")[:, :near]
        values = np.exp(np.take_along_axis(cosine, best, 1))
        rows[begin : begin + block, :near] = best + 1
        weights[begin : begin + block, :near] = values / values.sum(1, keepdims=True)
    order = sorted(range(count), key=lambda i: words[i].encode())
    return Neighbours(tuple(words[i] for i in order), rows[order], weights[order], count + 1)


def table_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The graph's table: a row of zeros for none, then the vectors."""
    return np.concatenate([np.zeros((1, vectors.shape[1]), vectors.dtype), vectors])


def write_neighbours(path: Path, table: Neighbours) -> None:
    names = [word.encode() for word in table.words]
    if any(a >= b for a, b in zip(names, names[1:], strict=False)):
        raise ValueError("the words must stand in the order of their bytes, each once")
    if table.rows.size and int(table.rows.max()) >= table.table_rows:
        raise ValueError(f"a neighbour has row {int(table.rows.max())}, the table has {table.table_rows}")
    places = np.cumsum([0, *map(len, names)]).astype("<u4")
    path.write_bytes(
        MAGIC
        + struct.pack("<II", len(names), table.table_rows)
        + places.tobytes()
        + table.rows.astype("<u4").tobytes()
        + table.weights.astype("<f4").tobytes()
        + b"".join(names)
    )


def read_neighbours(path: Path) -> Neighbours:
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path} is no table of neighbours")
    count, table_rows = struct.unpack_from("<II", data, len(MAGIC))
    places = np.frombuffer(data, "<u4", count + 1, HEAD)
    at = HEAD + places.nbytes
    rows = np.frombuffer(data, "<u4", count * NEAREST, at).reshape(count, NEAREST)
    weights = np.frombuffer(data, "<f4", count * NEAREST, at + rows.nbytes).reshape(count, NEAREST)
    names = data[at + rows.nbytes + weights.nbytes :]
    if len(names) != int(places[-1]):
        raise ValueError(f"{path} is cut off, or too long")
    words = tuple(names[a:b].decode() for a, b in zip(places[:-1].tolist(), places[1:].tolist(), strict=True))
    return Neighbours(words, rows.astype(np.uint32), weights.astype(np.float32), table_rows)
