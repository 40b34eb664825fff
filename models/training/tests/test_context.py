"""Text beside a tweet, and the neighbours of its words: what no stored case shows."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from mner.text.context import ContextSettings, context_text, with_context
from mner.text.neighbours import nearest, read_neighbours, table_of, write_neighbours
from mner.text.words import TweetNumbers


class Context(unittest.TestCase):
    def test_a_source_that_nobody_knows_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "captions"):
            ContextSettings(sources=("captions",))

    def test_the_order_is_ours_whatever_the_manifest_says(self) -> None:
        text = context_text(ContextSettings(sources=("words", "alt_text")), alt_text="a dog", words="SALE")
        self.assertEqual(text, "a dog . SALE")

    def test_the_tweet_is_never_cut(self) -> None:
        class Sep:
            sep = 3

        tweet = TweetNumbers([1, *range(10, 30), 3], [0, *range(1, 21), 0], list(range(1, 21)), [], [])
        for bound in (5, 22, 23):
            self.assertEqual(with_context(tweet, [7, 8, 9], Sep(), bound).input_ids, tweet.input_ids)  # type: ignore[arg-type]
        self.assertEqual(with_context(tweet, [7, 8, 9], Sep(), 24).input_ids, [*tweet.input_ids, 7, 3])  # type: ignore[arg-type]


class NeighboursFile(unittest.TestCase):
    def test_what_is_written_is_read(self) -> None:
        random = np.random.default_rng(1)
        words = [f"w{i}" for i in range(50)] + ["東京", "é", "z"]
        vectors = random.normal(size=(len(words), 8)).astype(np.float32)
        table = nearest(words, vectors)
        with tempfile.TemporaryDirectory() as folder:
            write_neighbours(Path(folder) / "neighbours.bin", table)
            again = read_neighbours(Path(folder) / "neighbours.bin")
        self.assertEqual(again.words, table.words)
        self.assertTrue((again.rows == table.rows).all() and (again.weights == table.weights).all())
        rows, weights = again.of("#W7")
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit[7]
        cosines[7] = -2
        best = np.argsort(-cosines)[:4]
        self.assertEqual(rows, (best + 1).tolist())
        self.assertAlmostEqual(sum(weights), 1, places=2)
        self.assertEqual(again.table_rows, len(table_of(vectors)))

    def test_fewer_words_than_neighbours(self) -> None:
        table = nearest(["b", "a"], np.eye(2, dtype=np.float32))
        self.assertEqual(table.of("a"), ([1, 0, 0, 0], [1, 0, 0, 0]))
        self.assertEqual(table.of("c"), ([0] * 4, [0.0] * 4))
        self.assertEqual(nearest([], np.zeros((0, 3), np.float32)).of("a"), ([0] * 4, [0.0] * 4))

    def test_words_that_are_no_forms_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            nearest(["Kobe"], np.zeros((1, 3), np.float32))


if __name__ == "__main__":
    unittest.main()
