"""HamLearning-style fusion: Hierarchical Aligned Multimodal Learning for NER on tweets (Liu et al., AAAI 2024, arXiv 2305.08372).

Rebuilt from the paper's abstract and outline, hence "-style". Three stages:

1. intra-modality: global (grid), object, semantic (image embedding) and spatial (box geometry) streams, one self-attention over all;
2. relevance: one gate for the picture as a whole, r, and one for each region, r_k, learned end to end;
3. refinement: words and regions read each other in turn, then co-attention, and a gated correction of the emissions.

`emissions = emissions_text + image * r * W[g * F]`, so without a picture the text branch stands as it is, to the last bit.
B tweets, T words, R grid cells, K objects, V = R + K + 1 regions (the scene as a whole is the last), d the fusion's width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.attention import CrossAttention
from mner.dropout import ByteDropout
from mner.labels import LABELS
from mner.text.branch import TextBranch, TextConfig


@dataclass(frozen=True, slots=True)
class HamConfig:
    cells: int = 25
    grid_width: int = 192
    embedding_width: int = 384
    objects: int = 5
    classes: int = 80
    width: int = 192
    meaning: int = 384
    heads: int = 6
    iterations: int = 2
    gate: bool = True
    dropout: float = 0.2

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Picture(NamedTuple):
    """What the vision bundle gives, or the bridge in its place; all zero where a tweet has no picture."""

    image: Tensor  # [B] 1 where the tweet has a picture
    grid: Tensor  # [B,R,grid_width]
    embedding: Tensor  # [B,embedding_width]
    boxes: Tensor  # [B,K,4] x0, y0, x1, y1 as shares of the picture
    object_classes: Tensor  # [B,K] class plus one, 0 for none
    object_scores: Tensor  # [B,K]


class Fused(NamedTuple):
    correction: Tensor  # [B,T,heads,labels] to add to the text branch's emissions
    relevance: Tensor  # [B] r, 0 without a picture
    relevance_logit: Tensor  # [B]
    regions: Tensor  # [B,V] r * r_k
    meaning: Tensor  # [B,embedding_width] the sentence in the captions' space


def cell_shares(boxes: Tensor, cells: int) -> Tensor:
    """boxes [B,K,4] → share of each box that lies in each cell of a square grid, [B,K,cells]; cells go row by row."""
    side = round(cells**0.5)
    low = torch.arange(side, device=boxes.device, dtype=boxes.dtype) / side
    x0, y0, x1, y1 = boxes.unsqueeze(-1).unbind(2)  # [B,K,1] each
    across = (torch.minimum(x1, low + 1 / side) - torch.maximum(x0, low)).clamp(min=0)
    down = (torch.minimum(y1, low + 1 / side) - torch.maximum(y0, low)).clamp(min=0)
    area = (down.unsqueeze(3) * across.unsqueeze(2)).flatten(2)
    return area / area.sum(2, keepdim=True).clamp(min=1e-6)


class VisionStreams(nn.Module):
    """Stage 1 for the picture: four streams, then self-attention over all regions → [B,V,d]."""

    def __init__(self, c: HamConfig) -> None:
        super().__init__()
        self.c = c
        self.grid_norm = nn.LayerNorm(c.grid_width)
        self.grid = nn.Linear(c.grid_width, c.width)
        self.place = nn.Parameter(torch.randn(c.cells, c.width) * 0.02)
        self.object = nn.Linear(c.grid_width, c.width)
        self.object_class = nn.Embedding(c.classes + 1, c.width, padding_idx=0)
        self.geometry = nn.Sequential(nn.Linear(6, c.width), nn.GELU(), nn.Linear(c.width, c.width))
        self.offsets = nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.Linear(32, c.heads))
        self.object_norm = nn.LayerNorm(c.width)
        self.among_objects = CrossAttention(c.width, c.heads, c.dropout)
        self.semantic = nn.Linear(c.embedding_width, c.width)
        self.kind = nn.Parameter(torch.randn(3, c.width) * 0.02)
        self.norm = nn.LayerNorm(c.width)
        self.among_regions = CrossAttention(c.width, c.heads, c.dropout)

    def forward(self, p: Picture) -> tuple[Tensor, Tensor]:
        """→ regions [B,V,d] and their mask [B,V]: objects that are not there are masked."""
        grid = self.grid_norm(p.grid)
        cells = self.grid(grid) + self.place + self.kind[0]

        there = (p.object_classes > 0).to(p.grid.dtype)
        seen = cell_shares(p.boxes, self.c.cells) @ grid
        objects = self.object(seen) + self.object_class(p.object_classes)
        x0, y0, x1, y1 = p.boxes.unbind(2)
        wide, high = x1 - x0, y1 - y0
        centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
        box = torch.stack([centre_x, centre_y, wide, high, wide * high, p.object_scores], 2)
        objects = self.object_norm(objects + self.geometry(box)) + self.kind[1]
        pair = torch.stack([centre_x, centre_y, wide, high], 2)
        bias = self.offsets(pair.unsqueeze(1) - pair.unsqueeze(2)).permute(0, 3, 1, 2)  # [B,heads,K,K]
        objects = self.among_objects(objects, objects, there, bias)

        scene = (self.semantic(p.embedding) + self.kind[2]).unsqueeze(1)
        regions = self.norm(torch.cat([cells, objects, scene], 1))
        whole = torch.ones_like(p.grid[:, :, 0])
        mask = torch.cat([whole, there, whole[:, :1]], 1)
        return self.among_regions(regions, regions, mask), mask


class Meaning(nn.Module):
    """Stage 1 for the text as a whole: the sentence in the space of captions, where image embeddings live too.

    A tagger's states have forgotten what a tweet is about, so MiniLM's own input embeddings, which stay frozen, are pooled beside
    them. Trained towards the sentence embedding that MiniLM-L6-v2 itself gives the tweet.
    """

    def __init__(self, state: int, raw: int, c: HamConfig) -> None:
        super().__init__()
        self.weight = nn.Linear(raw, 1)
        self.hidden = nn.Linear(state + raw, c.meaning)
        self.out = nn.Linear(c.meaning, c.embedding_width)

    def forward(self, mean_state: Tensor, pieces: Tensor, piece_mask: Tensor) -> Tensor:
        """mean_state [B,state], pieces [B,L,raw], piece_mask [B,L] → [B,embedding_width] of unit length"""
        weight = F.softmax(self.weight(pieces).squeeze(2) - 1e4 * (1 - piece_mask), 1)
        pooled = (weight.unsqueeze(1) @ pieces).squeeze(1)
        hidden = F.gelu(self.hidden(torch.cat([mean_state, pooled], 1)))
        return F.normalize(self.out(hidden), dim=1, eps=1e-6)


class Relevance(nn.Module):
    """Stage 2: does the picture belong to the text (r), and which of its regions (r_k)?"""

    def __init__(self, c: HamConfig) -> None:
        super().__init__()
        self.scene = nn.Linear(c.embedding_width, c.width)
        self.gate = nn.Sequential(
            nn.Linear(4 * c.width + 3, c.width), nn.GELU(), ByteDropout(c.dropout), nn.Linear(c.width, 1)
        )
        self.region = nn.Linear(c.width, c.width)
        self.region_bias = nn.Parameter(torch.zeros(1))

    def forward(
        self, sentence: Tensor, meaning: Tensor, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor, embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """sentence [B,d], meaning and embedding [B,embedding_width], words [B,T,d], regions [B,V,d] → logits of r [B] and r_k [B,V]"""
        weight = region_mask.unsqueeze(2)
        scene = self.scene(embedding)
        pooled = scene + (regions * weight).sum(1) / weight.sum(1)
        unit_words, unit_regions = F.normalize(words, dim=2, eps=1e-6), F.normalize(regions, dim=2, eps=1e-6)
        cosine = unit_words @ unit_regions.transpose(1, 2)  # [B,T,V]
        usable = word_mask.unsqueeze(2) * region_mask.unsqueeze(1)
        nearest = (cosine - 4 * (1 - usable)).amax((1, 2))
        same = (F.normalize(sentence, dim=1, eps=1e-6) * F.normalize(scene, dim=1, eps=1e-6)).sum(1)
        about = (meaning * F.normalize(embedding, dim=1, eps=1e-6)).sum(1) * 5
        pair = [sentence, pooled, sentence * pooled, (sentence - pooled).abs(), torch.stack([nearest, same, about], 1)]
        logit = self.gate(torch.cat(pair, 1)).squeeze(1)
        of_region = (self.region(sentence).unsqueeze(1) * regions).sum(2) / regions.shape[2] ** 0.5 + self.region_bias
        return logit, of_region


class Refinement(nn.Module):
    """Stage 3, one turn: words read the regions (each word decides how much), then each other; the regions read the words."""

    def __init__(self, c: HamConfig) -> None:
        super().__init__()
        self.from_regions = CrossAttention(c.width, c.heads, c.dropout)
        self.word_gate = nn.Linear(2 * c.width, c.width)
        self.among_words = CrossAttention(c.width, c.heads, c.dropout)
        self.from_words = CrossAttention(c.width, c.heads, c.dropout)

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> tuple[Tensor, Tensor]:
        read = self.from_regions.read(words, regions, region_mask)
        gate = torch.sigmoid(self.word_gate(torch.cat([words, read], 2)))
        words = self.from_regions.norm(words + gate * read)
        words = self.among_words(words, words, word_mask)
        regions = self.from_words(regions, words, word_mask)
        return words, regions


class HamFusion(nn.Module):
    def __init__(self, state: int, raw: int, heads: int, c: HamConfig) -> None:
        """`state` is the width of the text branch's word states, `raw` that of its input embeddings."""
        super().__init__()
        self.heads = heads
        self.words = nn.Sequential(nn.Linear(state, c.width), nn.LayerNorm(c.width), ByteDropout(c.dropout))
        self.meaning = Meaning(state, raw, c)
        self.sentence = nn.Linear(state + c.embedding_width, c.width)
        self.streams = VisionStreams(c)
        self.relevance = Relevance(c)
        self.refine = Refinement(c)
        self.iterations, self.gate = c.iterations, c.gate
        self.affinity = nn.Linear(c.width, c.width, bias=False)
        self.emit_gate = nn.Linear(4 * c.width, 3 * c.width)
        self.emit = nn.Linear(3 * c.width, heads * len(LABELS))
        self.dropout = ByteDropout(c.dropout)
        nn.init.zeros_(self.emit.weight)
        nn.init.zeros_(self.emit.bias)

    def forward(self, states: Tensor, word_mask: Tensor, pieces: Tensor, piece_mask: Tensor, p: Picture) -> Fused:
        """states [B,T,state] of the text branch, word_mask [B,T], pieces [B,L,raw] its input embeddings, piece_mask [B,L]"""
        mask = word_mask.unsqueeze(2)
        local = self.words(states)  # [B,T,d]
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        meaning = self.meaning(mean, pieces, piece_mask)
        sentence = self.sentence(torch.cat([mean, meaning], 1))  # [B,d]

        regions, region_mask = self.streams(p)
        logit, region_logit = self.relevance(sentence, meaning, local, word_mask, regions, region_mask, p.embedding)
        r = torch.sigmoid(logit) * p.image if self.gate else p.image
        r_k = torch.sigmoid(region_logit) * region_mask
        weighted = regions * (r.unsqueeze(1) * r_k).unsqueeze(2)

        words = local
        for _ in range(self.iterations):
            words, weighted = self.refine(words, word_mask, weighted, region_mask)

        affinity = self.affinity(words) @ weighted.transpose(1, 2) / weighted.shape[2] ** 0.5  # [B,T,V]
        to_regions = F.softmax(affinity - 1e4 * (1 - region_mask).unsqueeze(1), 2)
        to_words = F.softmax(affinity - 1e4 * (1 - word_mask).unsqueeze(2), 1)
        seen = to_regions @ weighted  # [B,T,d]
        echoed = to_regions @ (to_words.transpose(1, 2) @ words)  # [B,T,d] the words as the regions saw them
        fused = torch.cat([words, seen, echoed], 2)
        gate = torch.sigmoid(self.emit_gate(torch.cat([local, fused], 2)))
        correction = self.emit(self.dropout(gate * fused)) * r[:, None, None]
        return Fused(correction.unflatten(2, (self.heads, len(LABELS))), r, logit, r.unsqueeze(1) * r_k, meaning)


class Ham(nn.Module):
    """The whole model, with the inputs and outputs of a bundle of kind `ner`."""

    def __init__(self, text: TextConfig, fusion: HamConfig) -> None:
        super().__init__()
        self.text = TextBranch(text)
        self.fusion = HamFusion(text.state, text.encoder.width, text.heads, fusion)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of: Tensor,
        first: Tensor,
        chars: Tensor,
        flags: Tensor,
        image: Tensor,
        grid: Tensor,
        embedding: Tensor,
        boxes: Tensor,
        object_classes: Tensor,
        object_scores: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """→ emissions [B,T,heads,labels], relevance [B], regions [B,V]"""
        states, emissions = self.text(input_ids, attention_mask, word_of, first, chars, flags)
        picture = Picture(image, grid.float(), embedding.float(), boxes, object_classes, object_scores)
        pieces = self.text.encoder.words(input_ids)
        fused = self.fusion(states, (first > 0).to(states.dtype), pieces, attention_mask.to(states.dtype), picture)
        return emissions + fused.correction, fused.relevance, fused.regions
