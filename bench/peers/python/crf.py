"""The CRF of a bundle in NumPy, for a whole batch at a time: best paths, and the probability of each entity on them."""

from __future__ import annotations

from typing import Any

import numpy as np


def log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis)
    return top + np.log(np.exp(values - np.expand_dims(top, axis)).sum(axis))


class Crf:
    def __init__(self, labels: list[str], head: dict[str, Any]) -> None:
        self.labels = labels
        self.steps = np.array(head["transitions"], np.float64)
        self.start = np.array(head["start"], np.float64)
        self.end = np.array(head["end"], np.float64)
        self.temperature = float(head["temperature"])

    def read(self, emissions: np.ndarray, counts: list[int]) -> list[list[tuple[str, int, int, float]]]:
        """emissions [B,T,labels], words of each row → (type, first word, word after the last, probability) of its entities"""
        paths = self.best(emissions, counts)
        alpha, beta = self.forward_backward(emissions / self.temperature, counts)
        return [
            [(kind, a, b, self.probability(emissions[i], alpha[i], beta[i], kind, a, b, n)) for kind, a, b in chunks(path)]
            for i, (path, n) in enumerate(zip(paths, counts, strict=True))
        ]

    def best(self, emissions: np.ndarray, counts: list[int]) -> list[list[str]]:
        rows, words, _ = emissions.shape
        score = self.start + emissions[:, 0]
        scores, back = [score], []
        for t in range(1, words):
            ways = score[:, :, None] + self.steps
            back.append(ways.argmax(1))
            score = ways.max(1) + emissions[:, t]
            scores.append(score)
        paths = []
        for i in range(rows):
            last = counts[i] - 1
            label = int((scores[last][i] + self.end).argmax())
            path = [label]
            for t in range(last - 1, -1, -1):
                label = int(back[t][i, label])
                path.append(label)
            paths.append([self.labels[j] for j in reversed(path)])
        return paths

    def forward_backward(self, emissions: np.ndarray, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        words, steps = emissions.shape[1], self.steps / self.temperature
        alpha, beta = np.empty_like(emissions, np.float64), np.empty_like(emissions, np.float64)
        alpha[:, 0] = self.start / self.temperature + emissions[:, 0]
        for t in range(1, words):
            alpha[:, t] = log_sum(alpha[:, t - 1, :, None] + steps, 1) + emissions[:, t]
        end, last = self.end / self.temperature, np.array(counts) - 1
        beta[:, words - 1] = end
        for t in range(words - 2, -1, -1):
            beta[:, t] = log_sum(steps + (emissions[:, t + 1] + beta[:, t + 1])[:, None, :], 2)
            beta[last == t, t] = end
        return alpha, beta

    def probability(
        self, emissions: np.ndarray, alpha: np.ndarray, beta: np.ndarray, kind: str, a: int, b: int, count: int
    ) -> float:
        """Of exactly this entity: `B-` at its first word, `I-` on the others, and none after it."""
        first, inside = self.labels.index(f"B-{kind}"), self.labels.index(f"I-{kind}")
        score, label = alpha[a, first], first
        for t in range(a + 1, b):
            score, label = score + (self.steps[label, inside] + emissions[t, inside]) / self.temperature, inside
        if b < count:
            after = (self.steps[label] + emissions[b]) / self.temperature + beta[b]
            score += log_sum(np.delete(after, inside), 0)
        else:
            score += self.end[label] / self.temperature
        return float(np.exp(score - log_sum(alpha[count - 1] + self.end / self.temperature, 0)))


def chunks(labels: list[str]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    kind, start = None, 0
    for i, label in enumerate([*labels, "O"]):
        if kind is not None and label == f"I-{kind}":
            continue
        if kind is not None:
            found.append((kind, start, i))
        kind, start = (None, i) if label == "O" else (label[2:], i)
    return found
