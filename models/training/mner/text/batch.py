"""Encoded tweets and padded batches, of similar lengths so that little of them is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from mner.labels import LABEL_ID, LABELS
from mner.text.data import Tweet
from mner.text.words import CHARS_PER_WORD, FLAGS, Pieces, TweetNumbers, numbers


@dataclass(frozen=True, slots=True)
class Encoded:
    tweet: Tweet
    head: int
    numbers: TweetNumbers
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """B tweets of at most L pieces and T words."""

    input_ids: Tensor  # [B,L]
    attention_mask: Tensor  # [B,L]
    word_of: Tensor  # [B,L]
    first: Tensor  # [B,T]
    chars: Tensor  # [B,T,16]
    flags: Tensor  # [B,T,26]
    labels: Tensor  # [B,T]
    word_mask: Tensor  # [B,T] bool
    head: Tensor  # [B]

    def text(self) -> tuple[Tensor, ...]:
        """The text branch's inputs, in its order."""
        return self.input_ids, self.attention_mask, self.word_of, self.first, self.chars, self.flags

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


def of_head(emissions: Tensor, head: Tensor) -> Tensor:
    """[B,T,heads,n], head [B] → [B,T,n] of each row's own head, in float32"""
    return emissions[torch.arange(len(emissions), device=emissions.device), :, head].float()


def encode(tweets: list[Tweet], head: int, pieces: Pieces) -> list[Encoded]:
    return [Encoded(t, head, numbers(t.words, pieces), [LABEL_ID[x] for x in t.targets]) for t in tweets]


def collate(rows: list[Encoded], pieces: Pieces, word_dropout: float = 0.0, random: np.random.Generator | None = None) -> Batch:
    """Pad; with `word_dropout` whole words are read as `[MASK]` (their characters and flags stay)."""
    batch, long = len(rows), max(len(r.numbers.input_ids) for r in rows)
    words = max(len(r.labels) for r in rows)
    ids = np.full((batch, long), pieces.pad, np.int64)
    mask = np.zeros((batch, long), np.int64)
    word_of = np.zeros((batch, long), np.int64)
    first = np.zeros((batch, words), np.int64)
    chars = np.zeros((batch, words, CHARS_PER_WORD), np.int64)
    flags = np.zeros((batch, words, FLAGS), np.float32)
    labels = np.zeros((batch, words), np.int64)
    for i, row in enumerate(rows):
        n, count, length = row.numbers, len(row.labels), len(row.numbers.input_ids)
        ids[i, :length], mask[i, :length], word_of[i, :length] = n.input_ids, 1, n.word_of
        first[i, :count], chars[i, :count], flags[i, :count], labels[i, :count] = n.first, n.chars, n.flags, row.labels
        if word_dropout and random is not None:
            dropped = np.flatnonzero(random.random(count) < word_dropout) + 1
            ids[i][np.isin(word_of[i], dropped)] = pieces.mask
    t = torch.from_numpy
    head = torch.tensor([r.head for r in rows])
    return Batch(t(ids), t(mask), t(word_of), t(first), t(chars), t(flags), t(labels), t(first) > 0, head)


def batches(rows: list[Encoded], size: int, random: Random | None = None) -> list[list[int]]:
    """Indices of batches. With `random`: shuffled, sorted by length within pools of 40 batches. Without: sorted by length."""
    order = list(range(len(rows)))
    length = lambda i: len(rows[i].numbers.input_ids)  # noqa: E731
    if random is None:
        order.sort(key=length)
        return [order[i : i + size] for i in range(0, len(order), size)]
    random.shuffle(order)
    out: list[list[int]] = []
    for i in range(0, len(order), size * 40):
        pool = sorted(order[i : i + size * 40], key=length)
        out += [pool[j : j + size] for j in range(0, len(pool), size)]
    random.shuffle(out)
    return out


def tell(rows: list[Encoded], paths_of: Callable[[list[int]], Iterable[list[int]]]) -> list[list[str]]:
    """Labels of each row, read in batches: `paths_of` decodes the rows of one."""
    told: list[list[str]] = [[] for _ in rows]
    for index in batches(rows, 64):
        for i, path in zip(index, paths_of(index), strict=True):
            told[i] = [LABELS[x] for x in path]
    return told
