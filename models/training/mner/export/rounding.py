"""How numbers become eight bits: weights with a scale for each column, what flows with one range for all, fixed on real tweets.

A few channels of a transformer's states are a hundred times as large as the others, so that one step for all of them rounds the small ones
away. Where it pays, each channel is divided by a number of its own before it is rounded, and its row of the weights multiplied by the same:
SmoothQuant (Xiao et al., ICML 2023, arXiv 2211.10438). It halves what int8 does to the emissions of the text branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
WEIGHT_LIMIT = 63
STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)  # alpha of the paper: how much of the unevenness goes over to the weights
WORTH = 0.7  # of the error, and what is not brought below this share of it stays as it is


@dataclass(frozen=True, slots=True)
class Range:
    """`real = (code - zero) * scale * divisors`"""

    scale: float
    zero: int
    divisors: Array | None = None  # [K], one for each channel


def quantise_weight(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """weight [K,N] → int8 [K,N] and one scale per column [N]"""
    scale = np.maximum(np.abs(weight).max(0) / WEIGHT_LIMIT, 1e-10).astype(np.float32)
    return np.clip(np.rint(weight / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8), scale


def best_range(values: Array, weight: Array, steps: int = 16) -> tuple[float, Range]:
    """values [n,K], weight [K,N] → the range that does least to `values @ weight`, zero always inside it, and the squared error that is left."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    found = []
    for share in np.linspace(1.0, 0.3, steps):
        scale = max((high - low) * share / 255, 1e-8)
        zero = int(np.clip(round(-low * share / scale), 0, 255))
        coded = np.clip(np.rint(values / scale) + zero, 0, 255)
        error = ((coded - zero) * scale - values).astype(np.float32) @ weight
        found.append((float(np.square(error).sum()), Range(scale, zero)))
    return min(found, key=lambda f: f[0])


def choose_range(values: Array, largest: Array, weight: Array) -> Range:
    """A sample of what flows [n,K], the largest of each channel in all of it [K], what reads it side by side [K,N] → its range, with divisors if they pay."""

    def judged(divisors: Array | None) -> tuple[float, Range]:
        even, heavier = (values, weight) if divisors is None else (values / divisors, weight * divisors[:, None])
        error, found = best_range(even, heavier)
        coded, scale = quantise_weight(heavier)
        return error + float(np.square(even @ (coded * scale - heavier)).sum()), Range(found.scale, found.zero, divisors)

    # A flag that no tweet of the sample had may come later, and a row of small weights is still one: neither is stretched without bound.
    large, heavy = (np.maximum(some, max(some.max() / 100, 1e-6)) for some in (largest, np.abs(weight).max(1)))
    plain, evened = judged(None), []
    for strength in STRENGTHS:
        divisors = large**strength / heavy ** (1 - strength)
        evened.append(judged((divisors / np.exp(np.log(divisors).mean())).astype(np.float32)))
    best = min(evened, key=lambda f: f[0])
    return (best if best[0] < WORTH * plain[0] else plain)[1]
