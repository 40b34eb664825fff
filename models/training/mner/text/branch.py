"""The text branch: encoder, character CNN and flags, and one output layer per mention convention.

MiniLM is uncased. The character CNN (Ma and Hovy, ACL 2016) and 26 flags give a word its case back: their 128 features are added to
the input embeddings through a layer that starts at zero, and stand beside the encoder's output again before the output layer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.dropout import ByteDropout
from mner.labels import LABELS
from mner.text.encoder import Encoder, EncoderConfig, pick
from mner.text.words import CHAR_CODES, CHARS_PER_WORD, FLAGS


@dataclass(frozen=True, slots=True)
class TextConfig:
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    heads: int = 2
    char_width: int = 32
    char_filters: int = 64
    features: int = 128
    dropout: float = 0.2

    @property
    def state(self) -> int:
        """Width of a word's state: encoder and features side by side."""
        return self.encoder.width + self.features

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TextConfig:
        return cls(**{**values, "encoder": EncoderConfig(**values["encoder"])})


class TextStates(NamedTuple):
    words: Tensor  # [B,T,state]
    emissions: Tensor  # [B,T,heads,labels]


class WordFeatures(nn.Module):
    """Characters and flags of each word → [B,T,features]."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.chars = nn.Embedding(CHAR_CODES, c.char_width, padding_idx=0)
        self.narrow = nn.Conv1d(c.char_width, c.char_filters, 3, padding=1)
        self.wide = nn.Conv1d(c.char_width, c.char_filters, 5, padding=2)
        self.mix = nn.Linear(2 * c.char_filters + FLAGS, c.features)
        self.norm = nn.LayerNorm(c.features)

    def forward(self, chars: Tensor, flags: Tensor) -> Tensor:
        x = self.chars(chars.reshape(-1, CHARS_PER_WORD)).transpose(1, 2)
        x = torch.cat([self.narrow(x).amax(2), self.wide(x).amax(2)], 1)
        x = x.reshape(flags.shape[0], flags.shape[1], -1)
        return self.norm(F.gelu(self.mix(torch.cat([x, flags], 2))))


class TextBranch(nn.Module):
    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.config = c
        self.encoder = Encoder(c.encoder)
        self.features = WordFeatures(c)
        self.inject = nn.Linear(c.features, c.encoder.width)
        nn.init.zeros_(self.inject.weight)
        nn.init.zeros_(self.inject.bias)
        self.dropout = ByteDropout(c.dropout)
        self.output = nn.Linear(c.state, c.heads * len(LABELS))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of: Tensor,
        first: Tensor,
        chars: Tensor,
        flags: Tensor,
        beside: Tensor | None = None,
    ) -> TextStates:
        """`beside` [B,L,width] is added to the input embeddings too: a family's own mark on some pieces."""
        features = self.dropout(self.features(chars, flags))
        extra = self.inject(features)
        extra = torch.cat([torch.zeros_like(extra[:, :1]), extra], 1)  # row 0: no word
        added = pick(extra, word_of)
        hidden = self.encoder(input_ids, attention_mask, added if beside is None else added + beside, first)
        words = torch.cat([self.dropout(hidden), features], 2)
        return TextStates(words, self.emit(words))

    def emit(self, words: Tensor) -> Tensor:
        """[B,T,state] → [B,T,heads,labels]"""
        return self.output(words).unflatten(2, (self.config.heads, len(LABELS)))
