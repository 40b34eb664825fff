"""The inputs of a bundle of kind `ner`, by their names in `docs/bundles.md`, for training as for export: a family lists those it reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from mner.families.ham import HamConfig, Picture
from mner.families.pictures import PictureStore, stack
from mner.text.batch import Encoded, collate, of_head
from mner.text.context import context_pieces, with_context
from mner.text.neighbours import NEAREST, Neighbours
from mner.text.words import Pieces

TEXT_INPUTS = ("input_ids", "attention_mask", "word_of", "first", "chars", "flags")
PICTURE_INPUTS = Picture._fields
NEIGHBOUR_INPUTS = ("neighbours", "neighbour_weights")


@dataclass(frozen=True, slots=True)
class Example:
    """One tweet as a family reads it once: with a picture or without, with a context or without."""

    row: Encoded
    picture: tuple[PictureStore, str] | None = None
    context: str = ""
    belongs: bool = True  # whether picture and context are the tweet's own
    weight: float = 1.0  # of its labels in the loss


@dataclass(frozen=True, slots=True)
class FamilyBatch:
    """B tweets of T words."""

    inputs: dict[str, Tensor]
    labels: Tensor  # [B,T]
    word_mask: Tensor  # [B,T] bool
    head: Tensor  # [B]
    weight: Tensor  # [B]
    belongs: Tensor  # [B]

    def of_head(self, emissions: Tensor) -> Tensor:
        """[B,T,heads,n] → [B,T,n] of each row's own head"""
        return of_head(emissions, self.head)

    def to(self, device: torch.device) -> FamilyBatch:
        inputs = {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()}
        rest = [getattr(self, f.name).to(device, non_blocking=True) for f in fields(self) if f.name != "inputs"]
        return FamilyBatch(inputs, *rest)


class Reader:
    """Makes the inputs that a family wants."""

    def __init__(self, names: Iterable[str], pieces: Pieces, neighbours: Neighbours | None = None, max_pieces: int = 512) -> None:
        self.names = tuple(names)
        self.pieces, self.neighbours, self.max_pieces = pieces, neighbours, max_pieces
        if set(NEIGHBOUR_INPUTS) & set(self.names) and neighbours is None:
            raise ValueError("this family reads neighbours: it needs their table")

    def __call__(self, examples: list[Example], word_dropout: float = 0.0, random: np.random.Generator | None = None) -> FamilyBatch:
        rows = [e.row for e in examples]
        text = collate(rows, self.pieces, word_dropout, random)
        every = dict(zip(TEXT_INPUTS, text.text(), strict=True))
        if "token_type_ids" in self.names:
            every |= self._beside(examples, every["input_ids"], every["word_of"])
        if set(PICTURE_INPUTS) & set(self.names):
            every |= stack([e.picture for e in examples], HamConfig())._asdict()
        if set(NEIGHBOUR_INPUTS) & set(self.names):
            every |= self._near(rows, text.labels.shape[1])
        weight = torch.tensor([e.weight for e in examples])
        belongs = torch.tensor([float(e.belongs) for e in examples])
        return FamilyBatch({n: every[n] for n in self.names}, text.labels, text.word_mask, text.head, weight, belongs)

    def _beside(self, examples: list[Example], input_ids: Tensor, word_of: Tensor) -> dict[str, Tensor]:
        """The inputs over pieces again, with the contexts behind the tweets; masked words stay masked."""
        whole = []
        for e, ids, of in zip(examples, input_ids.tolist(), word_of.tolist(), strict=True):
            made = with_context(e.row.numbers, context_pieces(e.context, self.pieces) if e.context else [], self.pieces, self.max_pieces)
            own = len(e.row.numbers.input_ids)
            whole.append(([*ids[:own], *made.input_ids[own:]], [*of[:own], *made.word_of[own:]], made.token_type_ids))
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad([torch.tensor(i) for i, _, _ in whole], batch_first=True, padding_value=self.pieces.pad)
        mask = pad([torch.ones(len(i), dtype=torch.int64) for i, _, _ in whole], batch_first=True)
        of, kind = (pad([torch.tensor(w[k]) for w in whole], batch_first=True) for k in (1, 2))
        return {"input_ids": ids, "attention_mask": mask, "word_of": of, "token_type_ids": kind}

    def _near(self, rows: list[Encoded], words: int) -> dict[str, Tensor]:
        assert self.neighbours is not None
        places = np.zeros((len(rows), words, NEAREST), np.int64)
        weights = np.zeros((len(rows), words, NEAREST), np.float32)
        for i, row in enumerate(rows):
            count = len(row.labels)
            places[i, :count], weights[i, :count] = self.neighbours.of_words(row.tweet.words)
        return {"neighbours": torch.from_numpy(places), "neighbour_weights": torch.from_numpy(weights)}
