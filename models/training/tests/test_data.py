"""What is done to a corpus as it is read, and to its words where a convention wants them otherwise."""

import unittest

from mner.text.data import Tweet, signs_apart, with_signs_cut
from mner.text.vectors import forms_of


def tweet(words: list[str], labels: list[str]) -> Tweet:
    return Tweet("wnut17", "", tuple(words), tuple(labels), tuple(labels))


class Signs(unittest.TestCase):
    def test_a_sign_before_an_entity_of_its_own_is_none(self) -> None:
        self.assertEqual(signs_apart(["RT", "@", "Bob", ":"], ["O", "B-PER", "B-PER", "O"]), ["O", "O", "B-PER", "O"])

    def test_a_sign_within_an_entity_stays_and_so_does_one_at_the_end(self) -> None:
        self.assertEqual(signs_apart(["Mr", "@", "Bob"], ["B-PER", "I-PER", "I-PER"]), ["B-PER", "I-PER", "I-PER"])
        self.assertEqual(signs_apart(["hi", "@"], ["O", "B-PER"]), ["O", "B-PER"])
        self.assertEqual(signs_apart(["@", "Bob"], ["B-PER", "I-PER"]), ["B-PER", "I-PER"])
        self.assertEqual(signs_apart(["@", "Oslo"], ["B-PER", "B-LOC"]), ["B-PER", "B-LOC"])

    def test_the_entity_convention_takes_signs_off(self) -> None:
        cut = with_signs_cut(tweet(["@Bob", "in", "New", "#York", "@"], ["B-PER", "O", "B-LOC", "I-LOC", "O"]))
        self.assertEqual(cut.words, ("@", "Bob", "in", "New", "#", "York", "@"))
        self.assertEqual(cut.labels, ("O", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "O"))


class Forms(unittest.TestCase):
    def test_names_of_accounts_are_left_out(self) -> None:
        self.assertEqual(forms_of(["RT", "@Bob", "@", "Alice", "#Chicago", "bob"]), ["rt", "@", "chicago", "bob"])
        self.assertEqual(forms_of([".@", "Alice", "hi"]), [".@", "hi"])


if __name__ == "__main__":
    unittest.main()
