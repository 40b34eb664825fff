"""Linear-chain conditional random field (Lafferty et al., ICML 2001; Lample et al., NAACL 2016), one set of scores per head.

A row of a batch names its head, so tweets of both mention conventions train side by side. Transitions that BIO forbids are fixed at
`FORBIDDEN`; they get no gradient that matters and are exported as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mner.labels import LABELS, may_follow

FORBIDDEN = -10000.0


class Crf(nn.Module):
    def __init__(self, heads: int, labels: Sequence[str] = LABELS) -> None:
        super().__init__()
        n = len(labels)
        self.transitions_free = nn.Parameter(torch.randn(heads, n, n) * 0.02)  # [head, before, after]
        self.start_free = nn.Parameter(torch.zeros(heads, n))
        self.end = nn.Parameter(torch.zeros(heads, n))
        allowed = torch.tensor([[may_follow(a, b) for b in labels] for a in labels])
        self.register_buffer("allowed", allowed, persistent=False)
        self.register_buffer("may_start", torch.tensor([may_follow("", b) for b in labels]), persistent=False)

    @property
    def transitions(self) -> Tensor:
        """[heads, labels, labels], forbidden ones at `FORBIDDEN`."""
        return self.transitions_free.masked_fill(~self.allowed, FORBIDDEN)

    @property
    def start(self) -> Tensor:
        return self.start_free.masked_fill(~self.may_start, FORBIDDEN)

    def nll(self, emissions: Tensor, labels: Tensor, mask: Tensor, head: Tensor) -> Tensor:
        """emissions [B,T,labels], labels and mask [B,T], head [B] → negative log-likelihood of each row, [B]"""
        row = torch.arange(labels.shape[0], device=labels.device)
        transitions, start, end = self.transitions[head], self.start[head], self.end[head]
        gold = (emissions.gather(2, labels.unsqueeze(2)).squeeze(2) * mask).sum(1)
        gold = gold + (transitions[row[:, None], labels[:, :-1], labels[:, 1:]] * mask[:, 1:]).sum(1)
        gold = gold + start[row, labels[:, 0]] + end[row, labels[row, mask.sum(1) - 1]]
        return log_partition(emissions, mask, transitions, start, end) - gold

    def taught(self, emissions: Tensor, mask: Tensor, head: Tensor, labels: Tensor, pairs: Tensor, temperature: float = 1.0) -> Tensor:
        """Cross-entropy with another chain's distribution over label sequences, all of this one's scores divided by `temperature`: [B].

        `labels` [B,T,n] are the other's probabilities of each label at each word, `pairs` [B,n,n] its expected numbers of transitions: a
        sequence's score is linear in what they count, so they say all. The least value is the other's entropy, where both agree.
        """
        row = torch.arange(len(emissions), device=emissions.device)
        emissions = emissions / temperature
        transitions, start, end = (x[head] / temperature for x in (self.transitions, self.start, self.end))
        labels = labels * mask.unsqueeze(2)
        expected = (labels * emissions).sum((1, 2)) + (pairs * transitions).sum((1, 2))
        expected = expected + (labels[:, 0] * start).sum(1) + (labels[row, mask.sum(1) - 1] * end).sum(1)
        return log_partition(emissions, mask, transitions, start, end) - expected

    def both_ways(self, emissions: Tensor, mask: Tensor, head: Tensor) -> Tensor:
        """Forward plus backward scores, [B,T,n]: the logarithm of each label's probability at each word, up to a constant of the row."""
        transitions, start, end = self.transitions[head], self.start[head], self.end[head]
        forward, backward = [start + emissions[:, 0]], [end]
        for t in range(1, emissions.shape[1]):
            forward.append(torch.logsumexp(forward[-1].unsqueeze(2) + transitions, 1) + emissions[:, t])
        for t in range(emissions.shape[1] - 1, 0, -1):
            step = torch.logsumexp(transitions + (emissions[:, t] + backward[-1]).unsqueeze(1), 2)
            backward.append(torch.where(mask[:, t : t + 1], step, end))
        return torch.stack(forward, 1) + torch.stack(backward[::-1], 1)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor, head: Tensor) -> list[list[int]]:
        """Best path of each row; of equal labels the first wins."""
        transitions, start, end = self.transitions[head], self.start[head], self.end[head]
        score, back = start + emissions[:, 0], []
        stay = torch.arange(emissions.shape[2], device=emissions.device).expand_as(score)
        for t in range(1, emissions.shape[1]):
            best, where = (score.unsqueeze(2) + transitions).max(1)
            here = mask[:, t : t + 1]
            score = torch.where(here, best + emissions[:, t], score)
            back.append(torch.where(here, where, stay))
        label = (score + end).argmax(1)
        path = [label]
        for where in reversed(back):
            label = where.gather(1, label[:, None]).squeeze(1)
            path.append(label)
        every = torch.stack(path[::-1], 1).tolist()
        return [row[:n] for row, n in zip(every, mask.sum(1).tolist(), strict=True)]


def log_partition(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """emissions [B,T,n], mask [B,T], transitions [B,n,n], start and end [B,n] → [B]"""
    alpha = start + emissions[:, 0]
    for t in range(1, emissions.shape[1]):
        step = torch.logsumexp(alpha.unsqueeze(2) + transitions, 1) + emissions[:, t]
        alpha = torch.where(mask[:, t : t + 1], step, alpha)
    return torch.logsumexp(alpha + end, 1)


def posterior(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Batched: the probability of each label at each word [B,T,n], and the expected number of each transition [B,n,n].

    Both are gradients of the log-partition, by its scores.
    """
    with torch.enable_grad():
        scores = emissions.detach().clone().requires_grad_(), transitions.detach().clone().requires_grad_()
        whole = log_partition(scores[0], mask, scores[1], start.detach(), end.detach()).sum()
        labels, pairs = torch.autograd.grad(whole, scores, allow_unused=True)
    return labels, torch.zeros_like(scores[1]) if pairs is None else pairs


def viterbi(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> tuple[list[int], float]:
    """One tweet, emissions [T,n] → best path and its score; of equal labels the first wins."""
    score = start + emissions[0]
    back: list[Tensor] = []
    for t in range(1, len(emissions)):
        best, where = (score.unsqueeze(1) + transitions).max(0)
        back.append(where)
        score = best + emissions[t]
    last = int((score + end).argmax())
    path = [last]
    for where in reversed(back):
        path.append(int(where[path[-1]]))
    return path[::-1], float((score + end)[last].detach())


def forward_backward(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One tweet, emissions [T,n] → alpha [T,n] (with its emission), beta [T,n] (without), log-partition []"""
    alpha = [start + emissions[0]]
    for t in range(1, len(emissions)):
        alpha.append(torch.logsumexp(alpha[-1].unsqueeze(1) + transitions, 0) + emissions[t])
    beta = [end]
    for t in range(len(emissions) - 1, 0, -1):
        beta.append(torch.logsumexp(transitions + (emissions[t] + beta[-1]).unsqueeze(0), 1))
    return torch.stack(alpha), torch.stack(beta[::-1]), torch.logsumexp(alpha[-1] + end, 0)


def marginals(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Probability of each label at each word, [T,n]."""
    alpha, beta, whole = forward_backward(emissions, transitions, start, end)
    return torch.exp(alpha + beta - whole)


def span_probability(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, first: int, last: int, kind: str
) -> float:
    """Probability that words first..last (inclusive) are exactly one entity of this type: B-X, I-X …, and no I-X after it."""
    alpha, beta, whole = forward_backward(emissions, transitions, start, end)
    begin, inside = LABELS.index(f"B-{kind}"), LABELS.index(f"I-{kind}")
    score, label = alpha[first, begin], begin
    for t in range(first + 1, last + 1):
        score = score + transitions[label, inside] + emissions[t, inside]
        label = inside
    if last + 1 == len(emissions):
        rest = end[label]
    else:
        onward = transitions[label] + emissions[last + 1] + beta[last + 1]
        rest = torch.logsumexp(onward[[i for i in range(len(LABELS)) if i != inside]], 0)
    return float(torch.exp(score + rest - whole))
