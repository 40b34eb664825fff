"""The CRF against enumeration of all paths."""

import itertools
import unittest

import torch

from mner.crf import Crf, log_partition, marginals, span_probability, viterbi
from mner.labels import LABELS, may_follow


class Enumeration(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(3)
        crf = Crf(1).double()
        self.emissions = torch.randn(3, len(LABELS), dtype=torch.float64)
        self.parts = [p[0].detach() for p in (crf.transitions, crf.start, crf.end)]
        transitions, start, end = self.parts
        self.scores = {}
        for path in itertools.product(range(len(LABELS)), repeat=3):
            total = start[path[0]] + end[path[-1]] + sum(self.emissions[t, k] for t, k in enumerate(path))
            self.scores[path] = float(total + sum(transitions[a, b] for a, b in itertools.pairwise(path)))
        self.whole = float(torch.logsumexp(torch.tensor(list(self.scores.values())), 0))

    def test_viterbi(self) -> None:
        path, total = viterbi(self.emissions, *self.parts)
        best = max(self.scores, key=self.scores.__getitem__)
        self.assertEqual(tuple(path), best)
        self.assertAlmostEqual(total, self.scores[best])
        self.assertTrue(all(may_follow(LABELS[a], LABELS[b]) for a, b in itertools.pairwise(path)))

    def test_partition(self) -> None:
        mask = torch.ones(1, 3, dtype=torch.bool)
        found = log_partition(self.emissions[None], mask, *(p[None] for p in self.parts))
        self.assertAlmostEqual(float(found), self.whole, places=5)

    def test_marginals(self) -> None:
        found = marginals(self.emissions, *self.parts)
        wanted = torch.zeros_like(found)
        for path, total in self.scores.items():
            for t, k in enumerate(path):
                wanted[t, k] += torch.tensor(total - self.whole).exp()
        self.assertTrue(torch.allclose(found, wanted.to(found.dtype), atol=1e-6))

    def test_span(self) -> None:
        begin, inside = LABELS.index("B-LOC"), LABELS.index("I-LOC")
        wanted = sum(
            torch.tensor(v - self.whole).exp().item() for p, v in self.scores.items() if p[0] == begin and p[1] == inside and p[2] != inside
        )
        self.assertAlmostEqual(span_probability(self.emissions, *self.parts, 0, 1, "LOC"), wanted, places=6)


if __name__ == "__main__":
    unittest.main()
