"""BGA-MNER: Bidirectional Generative Alignment (Zhang et al., ACM MM 2023, arXiv 2308.02570), rebuilt from its abstract and outline: "BGA-style".

In training the words learn to imagine the picture, and the picture the words; at run time there is no picture, and what the words imagine
stands in its place. A layer is

    samplers   s = sigma(W[x; pooled other]); the share rho of the tokens with the highest s stays, straight-through
    extractors a layer of self-attention on each side, over what stayed
    generators G_tv: words → summary → picture; G_vt: picture → summary. K learned queries read the words; as many as there are cells read
               that summary; the other way the K queries read the cells

    L = NLL + weight * mean over layers of ( rec(G_tv(H), V) + rec(G_vt(V), summary of H) + cycles ),   rec = 1 - cos + smooth-L1
    cycles: words → picture → summary, and picture → summary → picture

The targets of all reconstructions are held fixed. The words' sampler looks at what they imagine, never at the picture, so that it chooses at
run time as it did in training. Emissions are the text branch's plus W_e [H; gate * CA(H, G_tv(H))], which starts at zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.attention import AttentionLayer, CrossAttention
from mner.crf import Crf
from mner.families.inputs import TEXT_INPUTS, FamilyBatch
from mner.labels import LABELS
from mner.text.branch import TextBranch, TextConfig


@dataclass(frozen=True, slots=True)
class BgaConfig:
    cells: int = 25
    grid_width: int = 192
    summary: int = 8
    kept: tuple[float, ...] = (1.0, 0.7, 0.5)
    """Share of the tokens that each layer keeps."""
    width: int = 192
    heads: int = 6
    dropout: float = 0.2
    reconstruction: float = 0.5

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def mean_of(x: Tensor, mask: Tensor) -> Tensor:
    """x [B,N,d], mask [B,N] → [B,d]"""
    weight = mask.unsqueeze(2)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


class Sampler(nn.Module):
    """Keeps the share of the tokens that fits best to the other side."""

    def __init__(self, width: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.of = nn.Linear(2 * width, 1)

    def forward(self, x: Tensor, mask: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """x [B,N,d], mask [B,N], other [B,d] → x with its gradient through the choice, and the mask of what stayed"""
        score = torch.sigmoid(self.of(torch.cat([x, other.unsqueeze(1).expand_as(x)], 2))).squeeze(2)
        offered = score * mask
        ahead = ((offered.unsqueeze(1) > offered.unsqueeze(2)).to(x.dtype) * mask.unsqueeze(1)).sum(2)  # how many score higher
        room = torch.ceil(mask.sum(1, keepdim=True) * self.share - 1e-4)
        kept = (ahead < room).to(x.dtype) * mask
        return x * (kept + (score - score.detach())).unsqueeze(2), kept


class Generator(nn.Module):
    """From either side to the other, by learned queries."""

    def __init__(self, c: BgaConfig) -> None:
        super().__init__()
        self.summary = nn.Parameter(torch.randn(c.summary, c.width) * 0.1)
        self.places = nn.Parameter(torch.randn(c.cells, c.width) * 0.1)
        self.from_words = AttentionLayer(c.width, c.heads, c.dropout)
        self.to_picture = AttentionLayer(c.width, c.heads, c.dropout)
        self.from_picture = AttentionLayer(c.width, c.heads, c.dropout)

    def summarise(self, words: Tensor, mask: Tensor) -> Tensor:
        return self.from_words(self.summary.expand(words.shape[0], -1, -1), words, mask)

    def imagine(self, summary: Tensor) -> Tensor:
        """Summary [B,K,d] of words → cells [B,R,d]"""
        return self.to_picture(self.places.expand(summary.shape[0], -1, -1), summary, torch.ones_like(summary[:, :, 0]))

    def describe(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Cells → the summary that words about them would have"""
        return self.from_picture(self.summary.expand(cells.shape[0], -1, -1), cells, mask)


def reconstruction(made: Tensor, real: Tensor) -> Tensor:
    """[B,N,d] both → [B]; the real side is held fixed."""
    real = real.detach()
    far = 1 - F.cosine_similarity(made, real, dim=2)
    return far.mean(1) + F.smooth_l1_loss(made, real, reduction="none").mean((1, 2))


class Imagined(NamedTuple):
    words: Tensor  # [B,T,d]
    word_mask: Tensor  # [B,T]
    summary: Tensor  # [B,K,d]
    cells: Tensor  # [B,R,d]


class Layer(nn.Module):
    def __init__(self, c: BgaConfig, share: float) -> None:
        super().__init__()
        self.word_sampler, self.cell_sampler = Sampler(c.width, share), Sampler(c.width, share)
        self.among_words = AttentionLayer(c.width, c.heads, c.dropout)
        self.among_cells = AttentionLayer(c.width, c.heads, c.dropout)
        self.generator = Generator(c)

    def imagine(self, words: Tensor, mask: Tensor, cells: Tensor) -> Imagined:
        """The words' side; `cells` [B,R,d] are what the layer before imagined."""
        chosen, kept = self.word_sampler(words, mask, cells.mean(1))
        words = self.among_words(words, chosen, kept)
        summary = self.generator.summarise(words, kept)
        return Imagined(words, kept, summary, self.generator.imagine(summary))

    def align(self, imagined: Imagined, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The picture's side: its cells [B,R,d] for the next layer, and the losses of this one, [B]"""
        everywhere = torch.ones_like(cells[:, :, 0])
        chosen, kept = self.cell_sampler(cells, everywhere, mean_of(imagined.words, imagined.word_mask))
        cells = self.among_cells(cells, chosen, kept)
        g = self.generator
        described = g.describe(cells, kept)
        loss = reconstruction(imagined.cells, cells) + reconstruction(described, imagined.summary)
        loss = loss + reconstruction(g.describe(imagined.cells, everywhere), imagined.summary)
        return cells, loss + reconstruction(g.imagine(described), cells)


class Bga(nn.Module):
    INPUTS: ClassVar = TEXT_INPUTS
    OUTPUTS: ClassVar = ("emissions",)
    TRAINING_INPUTS: ClassVar = ("image", "grid")
    Config: ClassVar = BgaConfig

    def __init__(self, text: TextConfig, c: BgaConfig) -> None:
        super().__init__()
        self.c = c
        self.text = TextBranch(text)
        self.crf = Crf(text.heads)
        self.words = nn.Sequential(nn.Linear(text.state, c.width), nn.LayerNorm(c.width))
        self.cells = nn.Sequential(nn.LayerNorm(c.grid_width), nn.Linear(c.grid_width, c.width), nn.LayerNorm(c.width))
        self.before = nn.Parameter(torch.zeros(c.cells, c.width))  # imagined before any word was read
        self.layers = nn.ModuleList(Layer(c, share) for share in c.kept)
        self.look = CrossAttention(c.width, c.heads, c.dropout)
        self.gate = nn.Linear(2 * c.width, c.width)
        self.emit = nn.Linear(2 * c.width, text.heads * len(LABELS))
        nn.init.zeros_(self.emit.weight)
        nn.init.zeros_(self.emit.bias)

    def imagine(self, states: Tensor, mask: Tensor) -> list[Imagined]:
        words, cells = self.words(states), self.before.expand(states.shape[0], -1, -1)
        out: list[Imagined] = []
        for layer in self.layers:
            out.append(layer.imagine(words, mask, cells))
            words, cells = out[-1].words, out[-1].cells
        return out

    def emissions(self, text: Tensor, states: Tensor, imagined: Imagined) -> Tensor:
        words = self.words(states)
        seen = self.look.read(words, imagined.cells, torch.ones_like(imagined.cells[:, :, 0]))
        gate = torch.sigmoid(self.gate(torch.cat([words, seen], 2)))
        more = self.emit(torch.cat([imagined.words, gate * seen], 2))
        return text + more.unflatten(2, (self.text.config.heads, len(LABELS)))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, word_of: Tensor, first: Tensor, chars: Tensor, flags: Tensor
    ) -> tuple[Tensor]:
        states, text = self.text(input_ids, attention_mask, word_of, first, chars, flags)
        return (self.emissions(text, states, self.imagine(states, (first > 0).to(states.dtype))[-1]),)

    def loss(self, batch: FamilyBatch) -> Tensor:
        """A row without a picture learns from its labels alone."""
        states, text = self.text(*(batch.inputs[n] for n in TEXT_INPUTS))
        imagined = self.imagine(states, batch.word_mask.to(states.dtype))
        emissions = self.emissions(text, states, imagined[-1])
        loss = self.crf.nll(batch.of_head(emissions), batch.labels, batch.word_mask, batch.head) * batch.weight
        cells = self.cells(batch.inputs["grid"].to(states.dtype))
        aligned = torch.zeros_like(loss)
        for layer, one in zip(self.layers, imagined, strict=True):
            cells, far = layer.align(one, cells)
            aligned = aligned + far / len(self.layers)
        return (loss + self.c.reconstruction * aligned * batch.inputs["image"] * batch.belongs).mean()
