"""What the families promise: padding changes nothing, without picture or context the text stands, losses are the papers'."""

import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mner.crf import Crf
from mner.families.bga import Bga, BgaConfig, Sampler, reconstruction
from mner.families.inputs import Example, FamilyBatch, Reader
from mner.families.ita import Ita, ItaConfig, cross_view_alignment
from mner.families.mcg import Mcg, McgConfig
from mner.families.ham import HamConfig
from mner.families.pictures import PictureStore, random_store
from mner.labels import LABELS
from mner.text.batch import encode
from mner.text.branch import TextConfig
from mner.text.data import Tweet
from mner.text.encoder import EncoderConfig, minilm_folder
from mner.text.neighbours import nearest
from mner.text.words import Pieces

SMALL = TextConfig(encoder=EncoderConfig(width=24, layers=2, heads=4, inner=48), char_width=8, char_filters=8, features=16)
WORDS = ["kobe", "bryant", "scores", "oakland", "in", "the"]


def tweet(text: str, labels: str) -> Tweet:
    return Tweet("twitter2015", "p0", tuple(text.split()), tuple(labels.split()), tuple(labels.split()))


def small(kind: type[Any], c: Any) -> Any:
    """A model that knows nothing but whose last layer is not zero."""
    torch.manual_seed(3)
    model = kind(SMALL, c).eval()
    for name in ("emit",):
        if hasattr(model, name):
            nn.init.normal_(getattr(model, name).weight, 0, 0.3)
    return model


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.pieces = Pieces(minilm_folder() / "tokenizer.json")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        random_store(["p0", "p1"], Path(folder.name) / "x.npz", HamConfig())
        cls.store = PictureStore(Path(folder.name) / "x.npz")
        cls.store.arrays["object_classes"][0, 0] = 3
        cls.near = nearest(WORDS, np.random.default_rng(1).normal(size=(len(WORDS), 8)).astype(np.float32))
        cls.rows = encode([tweet("Kobe Bryant scores", "B-PER I-PER O"), tweet("in Oakland http://t.co/x now", "O B-LOC O O")], 0, cls.pieces)

    def reader(self, kind: Any) -> Reader:
        return Reader((*kind.INPUTS, *getattr(kind, "TRAINING_INPUTS", ())), self.pieces, self.near)

    def read(self, model: Any, batch: FamilyBatch) -> torch.Tensor:
        with torch.no_grad():
            return model(*(batch.inputs[n] for n in model.INPUTS))[0]

    def learns(self, model: Any, examples: list[Example]) -> None:
        """A few steps on two tweets bring the loss down, and no number is lost on the way."""
        reader = self.reader(model)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3)
        losses = []
        for _ in range(25):
            loss = model.loss(reader(examples))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        self.assertTrue(np.isfinite(losses).all())
        self.assertLess(losses[-1], 0.5 * losses[0])

    def alone_as_in_a_batch(self, model: Any, examples: list[Example]) -> None:
        reader = self.reader(model)
        together = self.read(model, reader(examples))
        for i, example in enumerate(examples):
            alone = self.read(model, reader([example]))
            self.assertTrue(torch.allclose(alone[0], together[i, : alone.shape[1]], atol=1e-5))


class ItaFamily(Base):
    def setUp(self) -> None:
        self.model = small(Ita, ItaConfig())
        nn.init.normal_(self.model.context, 0, 0.3)
        self.examples = [Example(self.rows[0], None, "a man with a ball . person, ball"), Example(self.rows[1])]

    def test_alone_as_in_a_batch(self) -> None:
        self.alone_as_in_a_batch(self.model, self.examples)

    def test_without_context_the_text_stands(self) -> None:
        batch = self.reader(self.model)([Example(self.rows[0]), Example(self.rows[1])])
        text = self.model.text(*(batch.inputs[n] for n in self.model.INPUTS[:6])).emissions
        self.assertTrue(torch.equal(self.read(self.model, batch), text))

    def test_a_context_says_something(self) -> None:
        reader = self.reader(self.model)
        own, other = (self.read(self.model, reader([Example(self.rows[0], None, c)])) for c in ("a man with a ball", "a red car"))
        self.assertFalse(torch.allclose(own, other))

    def test_the_text_view_is_the_row_without_context(self) -> None:
        batch = self.reader(self.model)(self.examples)
        alone = {**batch.inputs, "attention_mask": batch.inputs["attention_mask"] * (1 - batch.inputs["token_type_ids"])}
        plain = self.reader(self.model)([Example(e.row) for e in self.examples])
        with torch.no_grad():
            masked = self.model(*(alone[n] for n in self.model.INPUTS))[0]
        self.assertTrue(torch.allclose(masked[0, :3], self.read(self.model, plain)[0, :3], atol=1e-5))

    def test_cross_view_alignment_by_hand(self) -> None:
        teacher, student = torch.tensor([[[2.0, 0.0], [9.0, -9.0]]]), torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
        mask = torch.tensor([[True, False]])
        p = 1 / (1 + np.exp(-1.0))  # softmax of 2 / T and 0 / T with T = 2
        wanted = 4 * (p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p)))
        found = cross_view_alignment(teacher, student, mask, torch.tensor([2.0]))
        self.assertAlmostEqual(float(found), wanted, places=5)

    def test_only_the_text_view_learns_from_the_alignment(self) -> None:
        teacher = torch.randn(1, 3, 4, requires_grad=True)
        student = torch.randn(1, 3, 4, requires_grad=True)
        cross_view_alignment(teacher, student, torch.ones(1, 3, dtype=torch.bool), torch.tensor([4.0])).sum().backward()
        self.assertIsNone(teacher.grad)
        self.assertGreater(float(student.grad.abs().sum()), 0)

    def test_both_ways_are_the_marginals(self) -> None:
        from mner.crf import posterior

        torch.manual_seed(4)
        crf, emissions, head = Crf(2), torch.randn(2, 4, len(LABELS)), torch.tensor([0, 1])
        mask = torch.arange(4)[None] < torch.tensor([4, 2])[:, None]
        with torch.no_grad():
            found = crf.both_ways(emissions, mask, head).softmax(2) * mask.unsqueeze(2)
        wanted, _ = posterior(emissions, mask, *(x[head].detach() for x in (crf.transitions, crf.start, crf.end)))
        self.assertTrue(torch.allclose(found, wanted, atol=1e-5))

    def test_learns(self) -> None:
        self.learns(self.model, self.examples)

    def test_a_long_context_is_cut_and_the_tweet_is_not(self) -> None:
        batch = self.reader(self.model)([Example(self.rows[0], None, "word " * 900)])
        self.assertEqual(batch.inputs["input_ids"].shape[1], 512)
        self.assertEqual(batch.inputs["input_ids"][0, :5].tolist(), self.rows[0].numbers.input_ids[:5])


class McgFamily(Base):
    def setUp(self) -> None:
        self.model = small(Mcg, McgConfig(width=16, heads=2, vectors=len(WORDS) + 1, vector_width=8))
        nn.init.normal_(self.model.vectors.weight)
        self.examples = [Example(self.rows[0], (self.store, "p0")), Example(self.rows[1])]

    def test_alone_as_in_a_batch(self) -> None:
        self.alone_as_in_a_batch(self.model, self.examples)

    def test_picture_objects_and_neighbours_all_say_something(self) -> None:
        batch = self.reader(self.model)(self.examples)
        whole = self.read(self.model, batch)
        for name in ("grid", "object_classes", "neighbour_weights"):
            changed = FamilyBatch({**batch.inputs, name: torch.zeros_like(batch.inputs[name])}, *self._rest(batch))
            self.assertFalse(torch.allclose(self.read(self.model, changed)[0], whole[0]), name)

    def test_without_a_picture_its_features_do_not_matter(self) -> None:
        batch = self.reader(self.model)([Example(self.rows[0], (self.store, "p0"))])
        inputs = {**batch.inputs, "image": torch.zeros(1)}
        one = self.read(self.model, FamilyBatch(inputs, *self._rest(batch)))
        other = self.read(self.model, FamilyBatch({**inputs, "grid": inputs["grid"] + 1, "object_classes": inputs["object_classes"] * 0}, *self._rest(batch)))
        self.assertTrue(torch.equal(one, other))

    def test_places_of_spans(self) -> None:
        labels = torch.arange(len(LABELS))
        places = torch.where(labels > 0, (labels + 1) % 2 + 1, 0).tolist()
        self.assertEqual(places, [0 if x == "O" else 1 if x.startswith("B-") else 2 for x in LABELS])

    def test_it_starts_as_the_text_branch(self) -> None:
        model = Mcg(SMALL, McgConfig(width=16, heads=2, vectors=len(WORDS) + 1, vector_width=8)).eval()
        batch = self.reader(model)(self.examples)
        text = model.text(*(batch.inputs[n] for n in model.INPUTS[:6])).emissions
        self.assertTrue(torch.equal(self.read(model, batch), text))

    def test_learns(self) -> None:
        self.learns(self.model, self.examples)

    @staticmethod
    def _rest(b: FamilyBatch) -> tuple[torch.Tensor, ...]:
        return b.labels, b.word_mask, b.head, b.weight, b.belongs


class BgaFamily(Base):
    def setUp(self) -> None:
        self.model = small(Bga, BgaConfig(width=16, heads=2, summary=3))
        self.examples = [Example(self.rows[0], (self.store, "p0")), Example(self.rows[1])]

    def test_alone_as_in_a_batch(self) -> None:
        self.alone_as_in_a_batch(self.model, self.examples)

    def test_no_picture_at_run_time(self) -> None:
        self.assertFalse(set(Bga.INPUTS) & {"image", "grid", "embedding"})

    def test_the_sampler_keeps_its_share_and_passes_gradients_on(self) -> None:
        sampler = Sampler(8, 0.5)
        x = torch.randn(2, 6, 8, requires_grad=True)
        mask = torch.tensor([[1.0] * 6, [1.0] * 3 + [0.0] * 3])
        out, kept = sampler(x, mask, torch.randn(2, 8))
        self.assertEqual(kept.sum(1).tolist(), [3.0, 2.0])
        self.assertEqual(float(kept[1, 3:].sum()), 0.0)
        self.assertTrue(torch.equal(out.detach(), x.detach() * kept.unsqueeze(2)))
        out.sum().backward()
        self.assertGreater(float(sampler.of.weight.grad.abs().sum()), 0)

    def test_everything_stays_with_a_share_of_one(self) -> None:
        mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
        _, kept = Sampler(8, 1.0)(torch.randn(1, 4, 8), mask, torch.randn(1, 8))
        self.assertTrue(torch.equal(kept, mask))

    def test_reconstruction_holds_the_real_side_fixed(self) -> None:
        made, real = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
        self.assertAlmostEqual(float(reconstruction(real, real).detach().abs().max()), 0.0, places=5)
        reconstruction(made, real).sum().backward()
        self.assertIsNone(real.grad)

    def test_a_swapped_picture_is_not_imagined(self) -> None:
        own = self.reader(self.model)([Example(self.rows[0], (self.store, "p0"))])
        swapped = self.reader(self.model)([Example(self.rows[0], (self.store, "p1"), belongs=False)])
        none = self.reader(self.model)([Example(self.rows[0])])
        losses = [float(self.model.loss(b).detach()) for b in (own, swapped, none)]
        self.assertAlmostEqual(losses[1], losses[2], places=5)
        self.assertGreater(losses[0], losses[2])

    def test_learns(self) -> None:
        self.learns(self.model, [Example(r) for r in self.rows])


if __name__ == "__main__":
    unittest.main()
