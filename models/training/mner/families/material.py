"""What the families are trained and judged on: tweets, what is shown with them, and what is said of it in words.

Three readings of a tweet: with what belongs to it, with nothing, and with another tweet's. In training they are drawn by chance, so that a wrong
or missing picture costs nothing; in judging each is read by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from mner.families.inputs import Example
from mner.families.pictures import PictureStore
from mner.text.batch import Encoded, encode
from mner.text.context import ContextSettings, context_text
from mner.text.data import data_folder, read_captions, read_split
from mner.text.free import free_rows, read_texts
from mner.text.product import PRODUCT
from mner.text.words import Pieces

READINGS = ("none", "own", "other")


@dataclass(frozen=True, slots=True)
class Names:
    """The lists of a vision bundle."""

    objects: list[str]
    tags: list[str]

    @classmethod
    def of(cls, bundle: Path) -> Names:
        return cls(*((bundle / f"{kind}.txt").read_text(encoding="utf-8").splitlines() for kind in ("objects", "tags")))


@dataclass(frozen=True, slots=True)
class Shown:
    """What belongs to a tweet: its picture, real or bridged, and captions of it."""

    store: PictureStore | None = None
    image_id: str = ""
    captions: tuple[str, ...] = ()

    @property
    def picture(self) -> tuple[PictureStore, str] | None:
        return (self.store, self.image_id) if self.store is not None and self.image_id in self.store else None


@dataclass(slots=True)
class Shelf:
    """Tweets of one source, each with what belongs to it (None: nothing does)."""

    rows: list[Encoded]
    shown: list[Shown | None]
    weight: float = 1.0
    silver: bool = False
    others: list[Shown] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.others = [s for s in self.shown if s is not None]

    def example(self, i: int, reading: str, say: Callable[[Shown], str], random: Random) -> Example:
        own = self.shown[i]
        chosen = None if own is None or reading == "none" else own if reading == "own" else random.choice(self.others)
        belongs = chosen is None or chosen is own
        if chosen is None:
            return Example(self.rows[i], weight=self.weight)
        return Example(self.rows[i], chosen.picture, say(chosen), belongs, self.weight)


class Speaker:
    """Puts what is shown into words: `caption` by what people wrote of it, `product` by what the worker sees itself, `both`."""

    def __init__(self, names: Names, settings: ContextSettings | None = None) -> None:
        self.names, self.settings = names, settings or ContextSettings()

    def say(self, shown: Shown, kind: str, random: Random | None = None) -> str:
        caption = ""
        if kind in ("caption", "both") and shown.captions:
            caption = random.choice(shown.captions) if random else shown.captions[0]
        objects: list[str] = []
        tags: list[tuple[str, float]] = []
        if kind in ("product", "both") and shown.picture:
            store, name = shown.picture
            at = store.rows[name]
            objects = [self.names.objects[c - 1] for c in store.arrays["object_classes"][at].tolist() if c > 0]
            if "tags" in store.arrays:
                places, scores = (store.arrays[k][at].tolist() for k in ("tags", "tag_scores"))
                tags = [(self.names.tags[p], s) for p, s in zip(places, scores, strict=True)]
        return context_text(self.settings, caption, objects, tags)

    def any(self, shown: Shown, random: Random) -> str:
        return self.say(shown, random.choice(("caption", "product", "both")), random)


def product_shelf(data: Path, corpus: str, split: str, pieces: Pieces, bridged: Path | None) -> Shelf:
    """All tweets of a labelled corpus; those whose picture is the placeholder have nothing shown."""
    path = bridged / f"{corpus}.npz" if bridged else None
    store = PictureStore(path) if path and path.exists() else None
    captions = [read_captions(data, corpus, c) for c in ("blip2", "catr")]
    rows = encode(read_split(data, corpus, split), PRODUCT.index(corpus), pieces)
    shown = []
    for row in rows:
        key = row.tweet.image_id
        said = tuple(c[key] for c in captions if c.get(key))
        shown.append(Shown(store, key, said) if captions[0].get(key) else None)
    return Shelf(rows, shown)


def real_shelf(data: Path, features: Path, pieces: Pieces, held_out: set[str], weight: float) -> Shelf:
    """The tweets of `tweet_images` with their real pictures; their labels are to be filled in by a teacher."""
    store = PictureStore(features / "tweets.npz")
    texts = {k: t[0] for k, t in read_texts(data / "tweet_images").items() if k in store and k not in held_out}
    rows = free_rows(texts, 0, pieces, "tweets")
    return Shelf(rows, [Shown(store, r.tweet.image_id) for r in rows], weight, silver=True)


def shelves(data: Path | None, split: str, pieces: Pieces, bridged: Path | None) -> dict[str, Shelf]:
    return {c: product_shelf(data_folder(data), c, split, pieces, bridged) for c in PRODUCT}
