"""Entity-level F1, lenient and strict, by type and with supports.

Published Twitter-2015 scores count *lenient* chunks: an `I-X` that does not continue an entity of type X starts a new one (the scorer of
UMT, Yu et al., ACL 2020). *Strict* IOB2 drops such chunks. They differ by 3 % of the entities there, so both are always given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from mner.labels import TYPES

Chunk = tuple[int, int, str]  # first word, one past the last, type


class Score(TypedDict):
    f1: float
    precision: float
    recall: float
    support: int


class Scores(Score):
    types: dict[str, Score]


def chunks(labels: Sequence[str], strict: bool = False) -> set[Chunk]:
    found: set[Chunk] = set()
    begun: tuple[int, str] | None = None
    for i, label in enumerate([*labels, "O"]):
        place, kind = label[0], label[2:]
        if begun and not (place == "I" and kind == begun[1]):
            found.add((begun[0], i, begun[1]))
            begun = None
        if place == "B" or (place == "I" and begun is None and not strict):
            begun = (i, kind)
    return found


def _score(right: int, gold: int, told: int) -> Score:
    percent = lambda a, b: round(100 * a / b, 2) if b else 0.0  # noqa: E731
    return {"f1": percent(2 * right, gold + told), "precision": percent(right, told), "recall": percent(right, gold), "support": gold}


def score(gold: Iterable[Sequence[str]], told: Iterable[Sequence[str]], strict: bool = False) -> Scores:
    """Micro-averaged over all entities of all tweets."""
    counts = {kind: [0, 0, 0] for kind in TYPES}
    for labels, answer in zip(gold, told, strict=True):
        wanted, given = chunks(labels, strict), chunks(answer, strict)
        for place, part in enumerate((wanted & given, wanted, given)):
            for chunk in part:
                counts[chunk[2]][place] += 1
    whole = [sum(c[place] for c in counts.values()) for place in range(3)]
    return {**_score(*whole), "types": {kind: _score(*c) for kind, c in counts.items()}}


def both(gold: Sequence[Sequence[str]], told: Sequence[Sequence[str]]) -> dict[str, Scores]:
    return {"lenient": score(gold, told), "strict": score(gold, told, strict=True)}


def in_lines(name: str, scores: dict[str, Scores], types: bool = True) -> str:
    """For people: a line for lenient and one for strict."""
    lines = []
    for mode, found in scores.items():
        kinds = "; " + " ".join(f"{k} {v['f1']} ({v['support']})" for k, v in found["types"].items()) if types else ""
        lines.append(f"{name} {mode} F1 {found['f1']} P {found['precision']} R {found['recall']} support {found['support']}{kinds}")
    return "\n".join(lines)
