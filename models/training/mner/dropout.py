"""Dropout that a CPU can afford."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_random = np.random.Generator(np.random.SFC64(1))


def seed_dropout(seed: int) -> None:
    global _random
    _random = np.random.Generator(np.random.SFC64(seed))


class ByteDropout(nn.Module):
    """Dropout from random bytes: on a CPU torch's own takes a tenth of a training step."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.threshold = round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.threshold:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.threshold / 256)
        keep = torch.from_numpy(_random.integers(0, 256, x.numel(), dtype=np.uint8)).view(x.shape) >= self.threshold
        return x * (keep.to(x.dtype) * (256 / (256 - self.threshold)))
