"""How well picture embeddings find captions, and how far the student agrees with its teacher."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Probability that a positive scores above a negative (Mann-Whitney), ties counted half. [p], [n]."""
    below = negative.sort().values
    wins = torch.searchsorted(below, positive).sum() + torch.searchsorted(below, positive, right=True).sum()
    return int(wins) / 2 / (len(positive) * len(negative))


def share_within(ranks: Tensor, most: int) -> float:
    return 100 * float((ranks < most).float().mean())


def retrieval(pictures: Tensor, captions: Tensor, owner: Tensor) -> dict[str, float]:
    """Recall both ways, and AUC of own against other captions.

    pictures [n, d], captions [m, d], owner [m]: the row of `pictures` that each caption belongs to. A picture finds a caption when
    the best of its own stands among the first k.
    """
    similarity = F.normalize(pictures.float(), dim=1) @ F.normalize(captions.float(), dim=1).T
    own = similarity[owner, torch.arange(len(owner))]
    picture_ranks = (own[:, None] < similarity.T).sum(1)
    best_own = torch.full((len(pictures),), -9.0).scatter_reduce(0, owner, own, "amax")
    caption_ranks = (similarity > best_own[:, None]).sum(1)
    others = torch.ones_like(similarity, dtype=torch.bool)
    others[owner, torch.arange(len(owner))] = False
    scores = {f"caption_to_picture_r{k}": share_within(picture_ranks, k) for k in (1, 5, 10)}
    scores |= {f"picture_to_caption_r{k}": share_within(caption_ranks, k) for k in (1, 5, 10)}
    positive = torch.zeros_like(others).index_put((owner, torch.arange(len(owner))), torch.tensor(True))
    same_picture = owner[None, :] == torch.arange(len(pictures))[:, None]
    return scores | {
        "auc_own_caption": area_under_curve(similarity[positive], similarity[others & ~same_picture]),
        "cosine_own": float(own.mean()),
    }


def agreement(student: Tensor, teacher: Tensor) -> dict[str, float]:
    """Per cent of pictures where the teacher's first tag is the student's first, or among its first five. [n, 1001] each."""
    first = teacher.argmax(1)
    guesses = student.topk(5, 1).indices
    return {
        "tag_top1_agreement": 100 * float((guesses[:, 0] == first).float().mean()),
        "tag_top5_agreement": 100 * float((guesses == first[:, None]).any(1).float().mean()),
    }


def rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3 if abs(value) <= 1 else 1) for name, value in scores.items()}
