"""From a word to numbers: pieces, characters and flags, as `docs/bundles.md` lays down.

The worker follows the same rules in TypeScript (`src/text`); `test/fixtures/text/parity.json` holds the two together. All lengths
count code points, and the classes of characters are Unicode's general categories, never Python's own `isupper` or `isalpha`,
which differ from `\\p{Lu}` and `\\p{L}`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

BLANK = "\u25a1"
MAX_PIECES = 256
PIECES_PER_WORD = 8
PIECES_PER_MENTION = 3
CHARS_PER_WORD = 16
HEAD_CHARS, TAIL_CHARS = 10, 6
FLAGS = 26
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#@_-.,:;!?'\"&$%/()*+=<>|~^[]{}`\\"
CHAR_CODES = len(ALPHABET) + 4

# What JavaScript's `trim()` removes; Python's `strip()` removes a slightly different set.
_WHITE = "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
_URL = re.compile(r"^(https?:|www\.|http\b)", re.IGNORECASE | re.ASCII)
_CAMEL = re.compile(r"[a-z][A-Z]")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_ENDS_SENTENCE = frozenset(".!?:\u2026|-")
_CODE = {c: i + 2 for i, c in enumerate(ALPHABET)}


def read_blank(word: str) -> str:
    """The word itself, or `□` for one that holds nothing but white space."""
    return word if word.strip(_WHITE) else BLANK


@lru_cache(maxsize=65536)
def _category(char: str) -> str:
    return unicodedata.category(char)


def is_url(word: str) -> bool:
    return bool(_URL.match(word))


def _has(word: str, *categories: str) -> bool:
    """Whether a character of one of these categories (`Lu`) or classes (`L`) stands in the word."""
    return any(_category(c).startswith(categories) for c in word)


def is_upper(word: str) -> bool:
    return _has(word, "Lu") and not _has(word, "Ll", "Lt")


def is_lower(word: str) -> bool:
    return _has(word, "Ll") and not _has(word, "Lu", "Lt")


def is_capital(word: str) -> bool:
    return _category(word[0]) in ("Lu", "Lt") if word else False


# ---------------------------------------------------------------- pieces


class Pieces:
    """WordPiece over single words, with the preparation that hashtags, mentions and links need."""

    def __init__(self, tokenizer: Path | str) -> None:
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.pad, self.unk, self.cls, self.sep, self.mask = (
            self._special(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        )
        self._known: dict[str, list[int]] = {}

    def _special(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no {token}")
        return int(found)

    def of_word(self, word: str) -> list[int]:
        """Ids of a word's pieces: at least one, at most eight (three for a mention)."""
        if (ids := self._known.get(word)) is None:
            cap = PIECES_PER_MENTION if word.startswith("@") else PIECES_PER_WORD
            ids = self.of_text(read_blank(word))[:cap] or [self.unk]
            self._known[word] = ids
        return ids

    def of_text(self, text: str) -> list[int]:
        """Ids of all pieces of a text without spaces, prepared as a word is; there may be none."""
        if is_url(text):
            text = "http"
        elif text[0] in "#@" or _CAMEL.search(text):
            text = " ".join(_PARTS.findall(text))
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


# ---------------------------------------------------------------- characters


@lru_cache(maxsize=65536)
def char_codes(word: str) -> tuple[int, ...]:
    """16 codes: the alphabet's places plus 2, two classes for the rest, 0 as padding."""
    word = read_blank(word)
    if len(word) > CHARS_PER_WORD:
        word = word[:HEAD_CHARS] + word[-TAIL_CHARS:]
    other = (len(ALPHABET) + 2, len(ALPHABET) + 3)
    codes = [_CODE[c] if c in _CODE else other[0 if _category(c).startswith("L") else 1] for c in word]
    return tuple(codes + [0] * (CHARS_PER_WORD - len(codes)))


# ---------------------------------------------------------------- flags


@lru_cache(maxsize=65536)
def _word_flags(word: str) -> tuple[bool, ...]:
    """Flags 0 to 10, which need the word alone."""
    core = word.lstrip("#@")
    upper = is_upper(core)
    return (
        is_lower(core),
        is_capital(core) and not upper,
        upper and len(core) > 1,
        upper and len(core) == 1,
        bool(_CAMEL.search(core)),
        _has(word, "Nd"),
        all(_category(c) == "Nd" for c in word),
        not _has(word, "L", "N"),
        word.startswith("#"),
        word.startswith("@"),
        is_url(word),
    )


def flags(words: Sequence[str]) -> list[list[float]]:
    """26 flags for each word of a tweet; the last five are the same for all of its words."""
    words = [read_blank(w) for w in words]
    plain = [w for w in words if _has(w, "L") and w[0] not in "#@" and not is_url(w) and w != "RT"]
    count = max(1, len(plain))
    upper = sum(map(is_upper, plain)) / count
    capital = sum(map(is_capital, plain)) / count
    tweet = [float(upper > 0.6), float(capital > 0.6), float(capital < 0.12), upper, capital]

    out: list[list[float]] = []
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        after = words[i + 1] if i + 1 < len(words) else ""
        context = (
            before == "@",
            before == "#",
            i == 0,
            before in _ENDS_SENTENCE,
            is_capital(before),
            is_capital(after),
            word == "RT",
            any(ord(c) > 0x2000 for c in word),
            len(word) > 10,
            word.endswith("'s") or after in ("'s", "\u2019s"),
        )
        out.append([float(f) for f in _word_flags(word) + context] + tweet)
    return out


# ---------------------------------------------------------------- a tweet


@dataclass(frozen=True, slots=True)
class TweetNumbers:
    """A tweet as the graph reads it, without padding: L pieces, T words."""

    input_ids: list[int]  # [L]
    word_of: list[int]  # [L] word index plus one, 0 on [CLS] and [SEP]
    first: list[int]  # [T]
    chars: list[tuple[int, ...]]  # [T, 16]
    flags: list[list[float]]  # [T, 26]


def numbers(words: Sequence[str], pieces: Pieces) -> TweetNumbers:
    """All inputs that a tweet's words give."""
    ids, word_of, first = [pieces.cls], [0], []
    for i, word in enumerate(words):
        of_word = pieces.of_word(word)
        first.append(len(ids))
        ids += of_word
        word_of += [i + 1] * len(of_word)
    ids.append(pieces.sep)
    word_of.append(0)
    return TweetNumbers(ids, word_of, first, [char_codes(w) for w in words], flags(words))
