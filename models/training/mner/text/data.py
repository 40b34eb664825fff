"""Reading the labelled corpora: one `Tweet` per block, labels in our spelling."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from mner.labels import SPELLINGS, repair
from mner.text.words import is_url, read_blank

# BLIP-2's answer to the placeholder that stands for missing pictures in Twitter-2017: read it as "no picture".
PLACEHOLDER_CAPTION = "a man is standing on a skateboard in the snow"

# corpus → files of its splits. The first two carry the product's conventions, the rest only teach.
CORPORA: dict[str, dict[str, str]] = {
    "twitter2015": {"train": "twitter2015/train.txt", "valid": "twitter2015/valid.txt"},
    "twitter2017": {"train": "twitter2017/train.txt", "valid": "twitter2017/valid.txt"},
    "broad_twitter": {"train": "broad_twitter/train.conll", "valid": "broad_twitter/dev.conll"},
    "wnut17": {"train": "wnut17/train.conll", "valid": "wnut17/dev.conll"},
    "tweebank_ner": {"train": "tweebank_ner/train.bio", "valid": "tweebank_ner/dev.bio"},
}


@dataclass(frozen=True, slots=True)
class Tweet:
    corpus: str
    image_id: str  # empty where the corpus has no pictures
    words: tuple[str, ...]
    labels: tuple[str, ...]  # as annotated, for scoring
    targets: tuple[str, ...]  # repaired to legal BIO, for training


def data_folder(given: Path | None = None) -> Path:
    """The argument, else `MNER_TEST_DATA`, else `shared/data` beside the repository."""
    if given:
        return given
    if named := os.environ.get("MNER_TEST_DATA"):
        return Path(named)
    return Path(__file__).resolve().parents[5] / "shared" / "data"


def _label(raw: str) -> str:
    if raw == "O":
        return raw
    kind = SPELLINGS.get(raw[2:])
    return f"{raw[0]}-{kind}" if kind else "O"


def signs_apart(words: list[str], labels: list[str]) -> list[str]:
    """A lone `@` or `#` before a name that begins an entity of the same type is none itself.

    Broad Twitter calls both an entity of their own: an artefact of its cutting, which makes 600 entities of its 1730. The other corpora, and the
    product, have the name alone; in the two that it ships for, nothing is changed.
    """
    doubled = [w in ("@", "#") and a == b and a[0] == "B" for w, a, b in zip(words, labels, [*labels[1:], "O"], strict=True)]
    return ["O" if twice else label for label, twice in zip(labels, doubled, strict=True)]


def read_conll(path: Path, corpus: str) -> list[Tweet]:
    """Word first, label last, tab or space between; `IMGID:` before a tweet names its picture. Blank words are kept."""
    tweets: list[Tweet] = []
    words: list[str] = []
    labels: list[str] = []
    image = ""
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        if line.startswith("IMGID:"):
            image = line[6:].strip()
        elif not line.strip() or line.startswith("-DOCSTART-"):
            if words:
                labels = signs_apart(words, labels)
                tweets.append(Tweet(corpus, image, tuple(words), tuple(labels), tuple(repair(labels))))
            words, labels, image = [], [], ""
        else:
            cells = line.split("\t") if "\t" in line else line.split(" ")
            words.append(read_blank(cells[0].strip()))
            labels.append(_label(cells[-1].strip()))
    return tweets


def read_split(folder: Path, corpus: str, split: str) -> list[Tweet]:
    return read_conll(folder / CORPORA[corpus][split], corpus)


def without_link(tweet: Tweet) -> Tweet | None:
    """The same tweet without the links at its end; None where there are none, or nothing else.

    Twitter-2015's tweets all end in the link of their picture. A model that has seen no others takes the missing link of a bare text for news.
    """
    count = len(tweet.words)
    while count and is_url(tweet.words[count - 1]):
        count -= 1
    if count in (0, len(tweet.words)):
        return None
    return replace(tweet, words=tweet.words[:count], labels=tweet.labels[:count], targets=tweet.targets[:count])


def with_signs_cut(tweet: Tweet) -> Tweet:
    """The same tweet as the `entity` convention reads it: the sign of `@name` and `#tag` is a word of its own, outside an entity that the name begins."""
    words, labels = [], []
    for word, label in zip(tweet.words, tweet.labels, strict=True):
        if len(word) > 1 and word[0] in "@#＠＃":
            words.append(word[0])
            labels.append(label if label.startswith("I-") else "O")
            word = word[1:]
        words.append(word)
        labels.append(label)
    return replace(tweet, words=tuple(words), labels=tuple(labels), targets=tuple(repair(labels)))


def read_captions(folder: Path, corpus: str, captioner: str = "blip2") -> dict[str, str]:
    """Image id → caption; empty for the placeholder."""
    out: dict[str, str] = {}
    for line in (folder / corpus / f"captions.{captioner}.tsv").read_text(encoding="utf-8").splitlines():
        image, _, caption = line.partition("\t")
        out[image] = "" if caption == PLACEHOLDER_CAPTION else caption
    return out
