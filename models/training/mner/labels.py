"""Labels, and the two conventions for `@name`."""

from __future__ import annotations

TYPES = ("PER", "LOC", "ORG", "MISC")
LABELS = ("O", *(f"{place}-{kind}" for kind in TYPES for place in "BI"))
LABEL_ID = {label: i for i, label in enumerate(LABELS)}

# Twitter-2015 keeps `@name` whole and does not label it; Twitter-2017 splits it and mostly does.
CONVENTIONS = ("ignore", "entity")

# How other corpora spell the types; a type that is not here is dropped.
SPELLINGS = {
    "PER": "PER", "LOC": "LOC", "ORG": "ORG", "MISC": "MISC", "OTHER": "MISC",
    "person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG", "creative-work": "MISC", "product": "MISC",
}  # fmt: skip


def repair(labels: list[str]) -> list[str]:
    """Turn an `I-X` that continues nothing into `B-X`: what a lenient scorer takes it for, and all that the CRF can say."""
    out: list[str] = []
    for label in labels:
        if label.startswith("I-") and (not out or out[-1][1:] != label[1:]):
            label = "B-" + label[2:]
        out.append(label)
    return out


def may_follow(before: str, after: str) -> bool:
    """Whether a label may stand after another; `before` is empty at the start."""
    return not after.startswith("I-") or before[1:] == after[1:]
