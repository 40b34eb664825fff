"""Distillation: what is stored of a teacher says its whole distribution, and a student that agrees has nothing left to learn."""

import itertools
import unittest

import torch

from mner.crf import Crf, posterior
from mner.labels import LABELS
from mner.text.batch import collate, encode
from mner.text.branch import TextConfig
from mner.text.data import Tweet, without_link
from mner.text.distil import Lesson, choose, distillation_loss
from mner.text.encoder import EncoderConfig, minilm_folder
from mner.text.train import Tagger
from mner.text.words import Pieces

LENGTHS = torch.tensor([3, 2])


def tweet(text: str, corpus: str = "twitter2015", name: str = "1") -> Tweet:
    words = tuple(text.split())
    return Tweet(corpus, name, words, ("O",) * len(words), ("O",) * len(words))


class Chain(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(5)
        self.crf = Crf(2).double()
        self.emissions = torch.randn(2, 3, len(LABELS), dtype=torch.float64)
        self.mask = torch.arange(3)[None] < LENGTHS[:, None]
        self.head = torch.tensor([1, 1])

    def of(self, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        parts = (x[self.head].detach() / temperature for x in (self.crf.transitions, self.crf.start, self.crf.end))
        return posterior(self.emissions / temperature, self.mask, *parts)

    def test_posterior_against_enumeration(self) -> None:
        labels, pairs = self.of(1.0)
        transitions, start, end = (x[1].detach() for x in (self.crf.transitions, self.crf.start, self.crf.end))
        scores = {}
        for path in itertools.product(range(len(LABELS)), repeat=2):
            total = start[path[0]] + end[path[1]] + transitions[path[0], path[1]] + sum(self.emissions[1, t, k] for t, k in enumerate(path))
            scores[path] = float(torch.exp(total))
        whole = sum(scores.values())
        for k in range(len(LABELS)):
            self.assertAlmostEqual(float(labels[1, 0, k]), sum(v for p, v in scores.items() if p[0] == k) / whole, places=8)
        for path, value in scores.items():
            self.assertAlmostEqual(float(pairs[1, path[0], path[1]]), value / whole, places=8)
        self.assertEqual(float(labels[1, 2].abs().sum()), 0.0)

    def test_nothing_to_learn_from_oneself(self) -> None:
        for temperature in (1.0, 2.0):
            labels, pairs = self.of(temperature)
            emissions = self.emissions.clone().requires_grad_()
            loss = self.crf.taught(emissions, self.mask, self.head, labels, pairs, temperature).sum()
            loss.backward()
            self.assertLess(float(emissions.grad.abs().max()), 1e-9)
            self.assertLess(float(self.crf.transitions_free.grad.abs().max()), 1e-9)
            self.crf.zero_grad()
            other = self.crf.taught(self.emissions + torch.randn_like(self.emissions), self.mask, self.head, labels, pairs, temperature)
            self.assertGreater(float(other.sum()), float(loss))

    def test_sure_labels_are_the_likelihood(self) -> None:
        path = torch.tensor([[1, 2, 0], [0, 3, 0]])
        labels = torch.nn.functional.one_hot(path, len(LABELS)).double()
        pairs = torch.zeros(2, len(LABELS), len(LABELS), dtype=torch.float64)
        for i, n in enumerate(LENGTHS.tolist()):
            for a, b in itertools.pairwise(path[i, :n].tolist()):
                pairs[i, a, b] += 1
        found = self.crf.taught(self.emissions, self.mask, self.head, labels, pairs)
        self.assertTrue(torch.allclose(found, self.crf.nll(self.emissions, path, self.mask, self.head)))


class Student(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(6)
        self.pieces = Pieces(minilm_folder() / "tokenizer.json")
        encoder = EncoderConfig(width=24, layers=2, heads=4, inner=48)
        self.model = Tagger(TextConfig(encoder=encoder, char_width=8, char_filters=8, features=16)).eval()

    def lesson(self, text: str, head: int, gold: bool) -> Lesson:
        row = encode([tweet(text)], head, self.pieces)[0]
        count = len(row.labels)
        return Lesson(row, torch.full((count, 2, len(LABELS)), 1 / 9).half(), torch.zeros(2, 9, 9).half(), gold)

    def test_a_labelled_tweet_teaches_its_own_convention_alone(self) -> None:
        lessons = [self.lesson("Kobe Bryant scores", 1, True), self.lesson("in Oakland", 1, True)]
        batch = collate([x.row for x in lessons], self.pieces)
        distillation_loss(self.model, batch, lessons, 0.3, 2.0).backward()
        self.assertEqual(float(self.model.branch.output.weight.grad[: len(LABELS)].abs().sum()), 0.0)
        self.assertGreater(float(self.model.branch.output.weight.grad[len(LABELS) :].abs().sum()), 0.0)

    def test_a_free_text_teaches_both_and_its_labels_do_not_matter(self) -> None:
        lessons = [self.lesson("Kobe Bryant scores", 0, False)]
        batch = collate([x.row for x in lessons], self.pieces)
        loss = distillation_loss(self.model, batch, lessons, 0.3, 2.0)
        loss.backward()
        batch.labels.fill_(1)
        self.assertEqual(float(distillation_loss(self.model, batch, lessons, 0.3, 2.0)), float(loss))
        self.assertGreater(float(self.model.branch.output.weight.grad[: len(LABELS)].abs().sum()), 0.0)

    def test_an_epoch_reads_a_tweet_once(self) -> None:
        from random import Random

        some = {f"twitter{y}": [self.lesson("Kobe scores http://t.co/x", 0, True)] for y in (2015, 2017)}
        some |= {"twitter2015-cut": [self.lesson("Kobe scores", 0, True)], "tweets": [self.lesson("a b", 0, False)]}
        self.assertEqual(len(choose(some, False, Random(1))), 2)
        self.assertEqual(len(choose(some, True, Random(1))), 3)
        read = {len(choose(some, False, Random(i))[0].row.labels) for i in range(20)}
        self.assertEqual(read, {2, 3})


class Links(unittest.TestCase):
    def test_links_at_the_end_alone(self) -> None:
        self.assertEqual(without_link(tweet("see http://a.b now http://t.co/x http://t.co/y")).words, ("see", "http://a.b", "now"))
        self.assertIsNone(without_link(tweet("no link")))
        self.assertIsNone(without_link(tweet("http://t.co/x")))


if __name__ == "__main__":
    unittest.main()
