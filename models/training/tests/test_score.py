"""Lenient and strict chunks, on the cases in which they differ."""

import unittest

from mner.labels import repair
from mner.score import chunks, score


class Chunks(unittest.TestCase):
    def test_an_i_that_continues_nothing(self) -> None:
        self.assertEqual(chunks(["O", "I-PER", "I-PER"]), {(1, 3, "PER")})
        self.assertEqual(chunks(["O", "I-PER", "I-PER"], strict=True), set())

    def test_a_change_of_type_inside(self) -> None:
        self.assertEqual(chunks(["B-PER", "I-LOC"]), {(0, 1, "PER"), (1, 2, "LOC")})
        self.assertEqual(chunks(["B-PER", "I-LOC"], strict=True), {(0, 1, "PER")})

    def test_neighbours_of_one_type(self) -> None:
        self.assertEqual(chunks(["B-PER", "B-PER", "I-PER"]), {(0, 1, "PER"), (1, 3, "PER")})

    def test_repair_keeps_the_lenient_chunks(self) -> None:
        labels = ["I-PER", "I-LOC", "O", "I-ORG", "I-ORG", "B-ORG"]
        self.assertEqual(chunks(repair(labels), strict=True), chunks(labels))


class Score(unittest.TestCase):
    def test_support_and_f1(self) -> None:
        found = score([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "B-ORG"]])
        self.assertEqual((found["f1"], found["support"], found["types"]["LOC"]["support"]), (50.0, 2, 1))


if __name__ == "__main__":
    unittest.main()
