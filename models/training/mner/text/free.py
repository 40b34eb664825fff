"""Texts without labels, cut into words: the tweets and captions of the picture shards."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

from mner.text.batch import Encoded, encode
from mner.text.data import Tweet
from mner.text.words import Pieces

TOKEN = re.compile(r"https?://\S+|[@#]\w+|\w+(?:['\u2019]\w+)*|[^\w\s]+")


def read_texts(folder: Path) -> dict[str, list[str]]:
    """A WebDataset shard's texts: key → the tweet, or the captions, of `key.jpg`."""
    out: dict[str, list[str]] = {}
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json") and (file := tar.extractfile(member)):
                    document = json.load(io.TextIOWrapper(file, encoding="utf-8"))
                    texts = document.get("captions") or [document.get("text", "")]
                    out[member.name.removesuffix(".json")] = [t for t in texts if t.strip()]
    return {k: v for k, v in out.items() if v}


def free_rows(texts: dict[str, str], head: int, pieces: Pieces, corpus: str) -> list[Encoded]:
    """Raw texts cut into words, without labels; those of fewer than two words are left out."""
    tweets = []
    for key, text in texts.items():
        words = tuple(TOKEN.findall(text))[:60]
        if len(words) > 1:
            tweets.append(Tweet(corpus, key, words, ("O",) * len(words), ("O",) * len(words)))
    return encode(tweets, head, pieces)
