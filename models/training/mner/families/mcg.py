"""MCG: cross-modal interaction with multi-granular gates, span detection and semantic augmentation (arXiv 2210.14163; the preprint was
withdrawn in favour of the journal version, IP&M 2023, doi 10.1016/j.ipm.2023.103546).

    S    = Drop( X + W_m a )                   a: the four nearest neighbours of each word in vectors of tweets, weighted
    Haux = SA1(S)                              where entities begin and end, without types: an auxiliary chain
    H    = SA2(S)
    V    = SA(W_v R),  V' = SA(W_v2 R)         R: the grid's cells
    O    = SA(E),      O' = SA'(E)             E: embeddings of the classes of at most five objects, classes alone
    M3   = CA(H, V),   M4 = CA(H, CA(V', H))
    M5   = CA(H, O),   M6 = CA(H, CA(O', H))
    F1   = g M3 + (1 - g) M4,     g  = sigma(W1 M3 + W2 M4 + b)
    F2   = g' M6 + (1 - g') M5,   g' = sigma(W1' M6 + W2' M5 + b')
    F    = ReLU( W Drop[F1; F2] )
    L    = NLL + 0.5 NLL of the spans

SA and CA are layers of self- and cross-attention. Beyond the paper: X are the states of MiniLM's text branch, and W_e [H; F] is added to that
branch's own emissions and starts at zero, so that training begins where the text branch stands. What is not there (picture, objects) is zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.attention import AttentionLayer
from mner.crf import Crf
from mner.dropout import ByteDropout
from mner.families.inputs import TEXT_INPUTS, FamilyBatch
from mner.labels import LABELS
from mner.text.branch import TextBranch, TextConfig

SPANS = ("O", "B-SPAN", "I-SPAN")


@dataclass(frozen=True, slots=True)
class McgConfig:
    cells: int = 25
    grid_width: int = 192
    classes: int = 80
    vectors: int = 8001  # rows of the table of word vectors; row 0 is none
    vector_width: int = 200
    width: int = 192
    heads: int = 6
    dropout: float = 0.2
    fused_dropout: float = 0.5
    span_weight: float = 0.5

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Gate(nn.Module):
    """g a + (1 - g) b, with g = sigma(W1 a + W2 b + bias) for each number of each word."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of = nn.Linear(2 * width, width)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        g = torch.sigmoid(self.of(torch.cat([a, b], 2)))
        return g * a + (1 - g) * b


class Granularity(nn.Module):
    """What the words take from one kind of region: from the regions themselves, and from the regions that have read the words."""

    def __init__(self, c: McgConfig) -> None:
        super().__init__()
        layers = [AttentionLayer(c.width, c.heads, c.dropout) for _ in range(5)]
        self.among, self.among_too, self.read, self.asked, self.read_asked = layers

    def forward(self, words: Tensor, word_mask: Tensor, first: Tensor, second: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """words [B,T,d]; first and second [B,N,d] are two projections of the regions, mask [B,N] → two readings [B,T,d]"""
        plain = self.read(words, self.among(first, first, mask), mask)
        asked = self.asked(self.among_too(second, second, mask), words, word_mask)
        return plain, self.read_asked(words, asked, mask)


class Mcg(nn.Module):
    INPUTS: ClassVar = (*TEXT_INPUTS, "neighbours", "neighbour_weights", "image", "grid", "object_classes")
    OUTPUTS: ClassVar = ("emissions",)
    Config: ClassVar = McgConfig

    def __init__(self, text: TextConfig, c: McgConfig) -> None:
        super().__init__()
        self.c = c
        self.text = TextBranch(text)
        self.crf = Crf(text.heads)
        self.words = nn.Linear(text.state, c.width)
        self.vectors = nn.Embedding(c.vectors, c.vector_width, padding_idx=0)
        self.vectors.weight.requires_grad_(False)
        self.near = nn.Linear(c.vector_width, c.width, bias=False)
        self.norm = nn.LayerNorm(c.width)
        self.span_layer = AttentionLayer(c.width, c.heads, c.dropout)
        self.spans = nn.Linear(c.width, text.heads * len(SPANS))
        self.span_crf = Crf(text.heads, SPANS)
        self.word_layer = AttentionLayer(c.width, c.heads, c.dropout)
        self.grid_norm = nn.LayerNorm(c.grid_width)
        self.grid, self.grid_too = nn.Linear(c.grid_width, c.width), nn.Linear(c.grid_width, c.width)
        self.object_class = nn.Embedding(c.classes + 1, c.width, padding_idx=0)
        self.whole, self.parts = Granularity(c), Granularity(c)
        self.whole_gate, self.part_gate = Gate(c.width), Gate(c.width)
        self.fuse = nn.Linear(2 * c.width, c.width)
        self.emit = nn.Linear(2 * c.width, text.heads * len(LABELS))
        self.dropout, self.fused_dropout = ByteDropout(c.dropout), ByteDropout(c.fused_dropout)
        nn.init.zeros_(self.emit.weight)
        nn.init.zeros_(self.emit.bias)

    def read(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of: Tensor,
        first: Tensor,
        chars: Tensor,
        flags: Tensor,
        neighbours: Tensor,
        neighbour_weights: Tensor,
        image: Tensor,
        grid: Tensor,
        object_classes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """→ emissions [B,T,heads,labels], those of the spans [B,T,heads,3]"""
        states, emissions = self.text(input_ids, attention_mask, word_of, first, chars, flags)
        word_mask = (first > 0).to(states.dtype)
        near = (self.vectors(neighbours) * neighbour_weights.unsqueeze(3)).sum(2)
        s = self.dropout(self.norm(self.words(states) + self.near(near)))
        spans = self.spans(self.span_layer(s, s, word_mask))
        h = self.word_layer(s, s, word_mask)

        cells = self.grid_norm(grid.to(states.dtype))
        looked = image.unsqueeze(1).expand(-1, self.c.cells)
        m3, m4 = self.whole(h, word_mask, self.grid(cells), self.grid_too(cells), looked)
        objects = self.object_class(object_classes)
        there = (object_classes > 0).to(states.dtype) * image.unsqueeze(1)
        m5, m6 = self.parts(h, word_mask, objects, objects, there)
        f1 = self.whole_gate(m3, m4) * image[:, None, None]
        f2 = self.part_gate(m6, m5) * there.amax(1)[:, None, None]
        fused = F.relu(self.fuse(self.fused_dropout(torch.cat([f1, f2], 2))))
        more = self.emit(torch.cat([h, fused], 2)).unflatten(2, (self.text.config.heads, len(LABELS)))
        return emissions + more, spans.unflatten(2, (self.text.config.heads, len(SPANS)))

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.read(*inputs)[0],)

    def loss(self, batch: FamilyBatch) -> Tensor:
        emissions, spans = self.read(*(batch.inputs[n] for n in self.INPUTS))
        typed = self.crf.nll(batch.of_head(emissions), batch.labels, batch.word_mask, batch.head)
        places = torch.where(batch.labels > 0, (batch.labels + 1) % 2 + 1, 0)  # B-X is odd, I-X even
        untyped = self.span_crf.nll(batch.of_head(spans), places, batch.word_mask, batch.head)
        return ((typed + self.c.span_weight * untyped) * batch.weight).mean()
