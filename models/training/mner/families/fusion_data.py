"""Tweets with their pictures, as the fusion is trained on them.

Three sources: Twitter-2015/2017 with bridged pictures and gold labels; real tweets with their real pictures and the text branch's own
labels (silver); Flickr8k captions with their real pictures and no labels, which teach the gate alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from mner.families.ham import HamConfig, Picture
from mner.families.pictures import PictureStore, stack
from mner.text.batch import Encoded, encode
from mner.text.data import Tweet, read_captions, read_split
from mner.text.words import Pieces


@dataclass(slots=True)
class Reading:
    """What the text branch makes of one tweet."""

    states: Tensor  # [T,state] float16
    emissions: Tensor  # [T,heads,labels]


def pad(tensors: list[Tensor]) -> Tensor:
    """[T_i, …] → [B, T, …] in float32"""
    return torch.nn.utils.rnn.pad_sequence([t.float() for t in tensors], batch_first=True)


@dataclass(slots=True)
class Item:
    """One tweet with a picture that belongs to it."""

    row: Encoded
    store: PictureStore
    image_id: str
    meaning: Tensor  # [embedding_width] MiniLM's sentence embedding of the text
    readings: list[Reading]  # the clean one first
    labels: Tensor | None  # [T], None where only the gate learns


@dataclass(frozen=True, slots=True)
class FusionBatch:
    """B items; `belongs` is 1 where the picture is the tweet's own, 0 where it was swapped."""

    states: Tensor  # [B,T,state]
    emissions: Tensor  # [B,T,heads,labels] of the text branch
    input_ids: Tensor  # [B,L]
    piece_mask: Tensor  # [B,L]
    word_mask: Tensor  # [B,T]
    labels: Tensor  # [B,T]
    weight: Tensor  # [B] of the labels' loss: 1 gold, less for silver, 0 for none
    head: Tensor  # [B]
    meaning: Tensor  # [B,embedding_width]
    picture: Picture
    belongs: Tensor  # [B]

    def to(self, device: torch.device) -> FusionBatch:
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self) if f.name != "picture"}
        return FusionBatch(**moved, picture=Picture(*(x.to(device, non_blocking=True) for x in self.picture)))


def product_rows(data: Path, corpus: str, head: int, split: str, pieces: Pieces) -> list[Encoded]:
    """Tweets of a labelled corpus whose picture was captioned by something other than the placeholder."""
    captions = read_captions(data, corpus)
    return encode([t for t in read_split(data, corpus, split) if captions.get(t.image_id)], head, pieces)


def drop_streams(p: Picture, random: Random, share: float) -> Picture:
    """Modality dropout within a picture: now and then its grid, its objects or its embedding is missing."""
    n = len(p.image)
    keep = [torch.tensor([float(random.random() >= share) for _ in range(n)]) for _ in range(3)]
    objects = keep[1][:, None]
    return Picture(
        p.image,
        p.grid * keep[0][:, None, None],
        p.embedding * keep[2][:, None],
        p.boxes * objects[..., None],
        p.object_classes * objects.long(),
        p.object_scores * objects,
    )


def make_batch(
    items: list[Item], others: list[tuple[PictureStore, str] | None], belongs: list[float], c: HamConfig, silver: float, random: Random | None
) -> FusionBatch:
    """`others[i]` is the picture that item i gets; with `random` a noisy reading is taken at random, else the clean one."""
    read = [it.readings[random.randrange(len(it.readings))] if random else it.readings[0] for it in items]
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(it.row.numbers.input_ids) for it in items], batch_first=True)
    states = pad([r.states for r in read])
    words = torch.tensor([len(it.row.labels) for it in items])
    labels = torch.zeros(states.shape[:2], dtype=torch.int64)
    for i, it in enumerate(items):
        if it.labels is not None:
            labels[i, : len(it.labels)] = it.labels
    gold = {"twitter2015", "twitter2017"}
    weight = [0.0 if it.labels is None else 1.0 if it.row.tweet.corpus in gold else silver for it in items]
    return FusionBatch(
        states=states,
        emissions=pad([r.emissions for r in read]),
        input_ids=ids,
        piece_mask=(ids > 0).float(),
        word_mask=torch.arange(states.shape[1])[None] < words[:, None],
        labels=labels,
        weight=torch.tensor(weight),
        head=torch.tensor([it.row.head for it in items]),
        meaning=torch.stack([it.meaning for it in items]),
        picture=stack(others, c),
        belongs=torch.tensor(belongs),
    )


def swapped(items: list[Item], pool: dict[int, list[Item]], random: Random) -> list[tuple[PictureStore, str] | None]:
    """For each item another item's picture from the same store."""
    out: list[tuple[PictureStore, str] | None] = []
    for it in items:
        other = random.choice(pool[id(it.store)])
        while other.image_id == it.image_id:
            other = random.choice(pool[id(it.store)])
        out.append((other.store, other.image_id))
    return out


def length_batches(items: list[Item], size: int, random: Random | None) -> list[list[Item]]:
    order = sorted(items, key=lambda it: len(it.row.numbers.input_ids))
    if random:
        shuffled = items[:]
        random.shuffle(shuffled)
        order = []
        for i in range(0, len(shuffled), size * 20):
            order += sorted(shuffled[i : i + size * 20], key=lambda it: len(it.row.numbers.input_ids))
    out = [order[i : i + size] for i in range(0, len(order), size)]
    if random:
        random.shuffle(out)
    return out
