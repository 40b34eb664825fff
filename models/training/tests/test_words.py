"""The rules of docs/bundles.md, where Python's own ideas of case and letters differ from Unicode's categories."""

import unittest

from mner.text.words import ALPHABET, FLAGS, char_codes, flags, is_capital, is_lower, is_upper, is_url


def column(words: list[str], flag: int) -> list[float]:
    return [row[flag] for row in flags(words)]


class Case(unittest.TestCase):
    def test_a_title_case_letter_is_a_capital_but_not_upper(self) -> None:
        self.assertTrue(is_capital("ǅungla"))
        self.assertFalse(is_upper("ǅ"))
        self.assertFalse(is_lower("aǅ"))

    def test_circled_letters_are_symbols(self) -> None:
        self.assertTrue("Ⓐ".isupper())
        self.assertFalse(is_upper("Ⓐ"))

    def test_a_word_without_cased_letters_is_neither(self) -> None:
        self.assertFalse(is_upper("東京") or is_lower("東京"))


class Links(unittest.TestCase):
    def test_word_boundary_is_ascii(self) -> None:
        self.assertTrue(is_url("httpé"))
        self.assertFalse(is_url("httpx"))
        self.assertFalse(is_url("https"))


class Chars(unittest.TestCase):
    def test_long_words_keep_both_ends(self) -> None:
        codes = char_codes("abcdefghij" + "x" * 50 + "uvwxyz")
        self.assertEqual(codes, char_codes("abcdefghij") [:10] + char_codes("uvwxyz")[:6])

    def test_outside_the_alphabet(self) -> None:
        self.assertEqual(char_codes("é😀")[:3], (len(ALPHABET) + 2, len(ALPHABET) + 3, 0))

    def test_blank_is_read_as_a_square(self) -> None:
        self.assertEqual(char_codes("\u3000"), char_codes("□"))


class Flags(unittest.TestCase):
    def test_width(self) -> None:
        self.assertTrue(all(len(row) == FLAGS for row in flags(["a", "", "😀"])))

    def test_shares_skip_what_is_no_plain_word(self) -> None:
        self.assertEqual(column(["RT", "@Ben", "#OSLO", "http://A", "123", "Anna", "sings"], 25), [0.5] * 7)

    def test_nothing_to_count(self) -> None:
        self.assertEqual(column(["123"], 23), [1.0])


if __name__ == "__main__":
    unittest.main()
