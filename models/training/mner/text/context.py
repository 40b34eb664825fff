"""Text beside the tweet, which a family like ITA reads after the tweet's own words (`docs/bundles.md`, "Context").

The worker follows the same rules in TypeScript (`src/text/context.ts`, `src/text/encode.ts`); `test/fixtures/text/context.json` holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mner.text.words import Pieces, TweetNumbers

#: In the order in which they are read.
SOURCES = ("alt_text", "objects", "tags", "words")
ALT_TEXT_CHARS = 1000
JOINT = " . "

# What JavaScript's `\s` matches, and the control characters (Cc).
_WHITE = re.compile("[\\s\u0000-\u001f\u007f-\u009f\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """The manifest's field `context`."""

    sources: tuple[str, ...] = SOURCES
    max_pieces: int = 512
    max_tags: int = 5
    min_tag_score: float = 0.1

    def __post_init__(self) -> None:
        if unknown := set(self.sources) - set(SOURCES):
            raise ValueError(f"no source of context: {', '.join(sorted(unknown))}")

    def to_json(self) -> dict[str, Any]:
        return {"sources": list(self.sources), "max_pieces": self.max_pieces, "max_tags": self.max_tags, "min_tag_score": self.min_tag_score}


def context_text(
    settings: ContextSettings,
    alt_text: str = "",
    objects: Iterable[str] = (),
    tags: Sequence[tuple[str, float]] = (),
    words: str = "",
) -> str:
    """The context of one tweet; empty where there is none.

    `objects` are labels and `tags` labels with their probability (as float16 holds it), both best first.
    """
    named = [label for label, score in tags if score >= settings.min_tag_score][: settings.max_tags]
    parts = {
        "alt_text": tidy(alt_text[:ALT_TEXT_CHARS]),
        "objects": ", ".join(dict.fromkeys(map(tidy, objects))),
        "tags": ", ".join(map(tidy, named)),
        "words": tidy(words),
    }
    return JOINT.join(parts[source] for source in SOURCES if source in settings.sources and parts[source])


def tidy(text: str) -> str:
    return _WHITE.sub(" ", text).strip(" ")


def context_pieces(text: str, pieces: Pieces) -> list[int]:
    """Ids of a context's pieces, without a limit and without special tokens."""
    return [i for part in text.split(" ") if part for i in pieces.of_text(part)]


@dataclass(frozen=True, slots=True)
class RowPieces:
    """The three inputs over pieces: a context adds to them and to nothing else."""

    input_ids: list[int]  # [L]
    word_of: list[int]  # [L]
    token_type_ids: list[int]  # [L]


def with_context(tweet: TweetNumbers, context: Sequence[int], pieces: Pieces, max_pieces: int = 512) -> RowPieces:
    """The tweet's pieces, then as many of the context's as `max_pieces` leaves room for, and `[SEP]`."""
    own = len(tweet.input_ids)
    kept = list(context[: max(0, max_pieces - own - 1)])
    tail = [*kept, pieces.sep] if kept else []
    return RowPieces([*tweet.input_ids, *tail], [*tweet.word_of, *[0] * len(tail)], [0] * own + [1] * len(tail))
