"""Masked-language modelling: whole words, only what was masked is guessed, padding changes nothing."""

import unittest

import numpy as np
import torch

from mner.text.adapt import MaskedModel, mask_words
from mner.text.batch import encode
from mner.text.data import Tweet
from mner.text.encoder import EncoderConfig, minilm_folder
from mner.text.words import Pieces


class Masking(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        self.pieces = Pieces(minilm_folder() / "tokenizer.json")
        texts = [("Golden", "State", "Warriors", "#DubNation", "in", "Oakland"), ("hello",)]
        self.rows = encode([Tweet("x", "", t, ("O",) * len(t), ("O",) * len(t)) for t in texts], 0, self.pieces)

    def test_whole_words_and_at_least_one(self) -> None:
        for seed in range(20):
            _, _, places, wanted = mask_words(self.rows, self.pieces, np.random.default_rng(seed))
            for i, row in enumerate(self.rows):
                chosen = places[i][wanted[i] >= 0].tolist()
                self.assertTrue(chosen)
                words = {row.numbers.word_of[p] for p in chosen}
                self.assertEqual(chosen, [p for p, w in enumerate(row.numbers.word_of) if w in words])
                self.assertEqual([row.numbers.input_ids[p] for p in chosen], wanted[i][wanted[i] >= 0].tolist())

    def test_loss_is_that_of_the_rows_alone(self) -> None:
        model = MaskedModel(EncoderConfig(width=24, layers=2, heads=4, inner=48)).eval()
        parts = mask_words(self.rows, self.pieces, np.random.default_rng(3))
        counts = (parts[3] >= 0).sum(1)
        with torch.no_grad():
            whole = model.loss(*parts) * counts.sum()
            alone = sum(model.loss(*(p[i : i + 1] for p in parts)) * counts[i] for i in range(2))
        self.assertAlmostEqual(float(whole), float(alone), places=3)


if __name__ == "__main__":
    unittest.main()
