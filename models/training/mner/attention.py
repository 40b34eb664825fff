"""Multi-head attention that trains as plain PyTorch and exports as one ONNX Runtime node."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from mner.dropout import ByteDropout

MASKED = -10000.0
_spelled_out = False


@contextmanager
def spelled_out() -> Iterator[None]:
    """Attention exports as plain operators in here: WebGPU has no `MultiHeadAttention` with a padding mask."""
    global _spelled_out
    _spelled_out = True
    try:
        yield
    finally:
        _spelled_out = False


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention over packed heads.

    query [B,Q,d], key and value [B,K,d], mask [B,K] (1 = may be looked at), bias [B,heads,Q,K] or None → [B,Q,d].
    A row whose keys are all masked gets their mean, never NaN.
    """
    if torch.onnx.is_in_onnx_export() and bias is None and not _spelled_out:
        return _FusedAttention.apply(query, key, value, mask.to(torch.int32), heads)
    batch, queries, width = query.shape
    size = width // heads
    q = query.view(batch, queries, heads, size).transpose(1, 2)
    k = key.view(batch, -1, heads, size).transpose(1, 2)
    v = value.view(batch, -1, heads, size).transpose(1, 2)
    scores = q @ k.transpose(2, 3) * (1 / math.sqrt(size)) + ((1 - mask.to(q.dtype)) * MASKED)[:, None, None, :]
    if bias is not None:
        scores = scores + bias
    return (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, queries, width)


class _FusedAttention(torch.autograd.Function):
    """Stands in for `attend` while a graph is traced."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int) -> Tensor:
        return torch.zeros_like(query)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, mask: Any, heads: int) -> Any:
        absent = symbolic_helper._optional_input_placeholder_tensor(g)
        node = g.op("com.microsoft::MultiHeadAttention", query, key, value, absent, mask, num_heads_i=heads)
        return node.setType(query.type())


class CrossAttention(nn.Module):
    """One attention block with its residual and layer norm: x [B,Q,d] looks at y [B,K,d]."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = ByteDropout(dropout)

    def read(self, x: Tensor, y: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """What x takes from y, without residual: [B,Q,d]."""
        key, value = self.key_value(y).chunk(2, dim=-1)
        return self.dropout(self.out(attend(self.query(x), key, value, mask, self.heads, bias)))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.norm(x + self.read(x, y, mask, bias))


class AttentionLayer(nn.Module):
    """A whole layer of a Transformer: x [B,Q,d] looks at y [B,K,d], then thinks for itself. With y = x it is self-attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads, dropout)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = ByteDropout(dropout)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        x = self.attention(x, y, mask)
        return self.norm(x + self.dropout(self.down(F.gelu(self.up(x)))))
