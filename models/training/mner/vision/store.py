"""Where prepared arrays lie, and what is known of every picture.

All steps share one folder, `--work` (default `models/training/.work`), and write below `vision/` there. An array is written
to a temporary name and renamed when it is whole, so a file that exists is a file that is finished.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRAINING = Path(__file__).resolve().parents[2]
REPOSITORY = TRAINING.parents[1]
CANVAS = 192
"""Side of the stored canvases in pixels: pictures are squashed to a square, their true aspect is kept beside."""

SHARDS = {"flickr8k": "flickr8k/train.tar", "tweets": "tweet_images/train.tar", "imagenet": "imagenet_samples/all.tar"}
HELD_OUT = {"flickr8k": 500, "tweets": 300}
"""Pictures of each source that no training step sees: the first by the SHA-1 of their key."""


@dataclass(frozen=True)
class Paths:
    """The data that is read and the folder that is written."""

    data: Path
    work: Path

    @property
    def vision(self) -> Path:
        folder = self.work / "vision"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def array(self, name: str) -> Path:
        return self.vision / f"{name}.npy"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every step has."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    data = os.environ.get("MNER_TEST_DATA", str(REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="the data folder (default $MNER_TEST_DATA)")
    parser.add_argument("--work", type=Path, default=TRAINING / ".work", help="where intermediate results are kept")
    return parser


def save(path: Path, array: np.ndarray) -> None:
    """Writes an array whole or not at all."""
    unfinished = path.with_suffix(".unfinished.npy")
    np.save(unfinished, array)
    unfinished.rename(path)


@dataclass(frozen=True)
class Pictures:
    """All pictures of the shards in one order: sources as in `SHARDS`, then keys sorted."""

    sources: np.ndarray
    keys: list[str]
    captions: list[list[str]]
    aspects: np.ndarray
    """[N] width by height of the picture before it was squashed."""

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, source: str) -> np.ndarray:
        """[n] indices of one source."""
        return np.flatnonzero(self.sources == source)

    def held_out(self, source: str) -> np.ndarray:
        """[n] indices of a source's held-out pictures, sorted."""
        by_hash = sorted(self.of(source), key=lambda i: hashlib.sha1(self.keys[i].encode()).hexdigest())
        return np.array(sorted(by_hash[: HELD_OUT.get(source, 0)]), dtype=np.int64)

    def training(self) -> np.ndarray:
        """[n] indices of all pictures but the held-out ones."""
        unseen = np.concatenate([self.held_out(source) for source in HELD_OUT])
        return np.setdiff1d(np.arange(len(self)), unseen)

    def caption_rows(self) -> Iterator[tuple[int, str]]:
        """Pairs (picture, caption), at most five a picture, in the order of `captions.npy`."""
        for index, captions in enumerate(self.captions):
            for caption in captions[:5]:
                yield index, caption


def write_pictures(paths: Paths, rows: list[dict], aspects: list[float]) -> None:
    save(paths.array("aspects"), np.array(aspects, np.float32))
    (paths.vision / "pictures.json").write_text(json.dumps(rows))


def read_pictures(paths: Paths) -> Pictures:
    rows = json.loads((paths.vision / "pictures.json").read_text())
    return Pictures(
        sources=np.array([row["source"] for row in rows]),
        keys=[row["key"] for row in rows],
        captions=[row.get("captions", []) for row in rows],
        aspects=np.load(paths.array("aspects")),
    )


def read_canvases(paths: Paths) -> np.ndarray:
    """[N, CANVAS, CANVAS, 3] uint8, mapped from the disk."""
    return np.load(paths.array("canvases"), mmap_mode="r")
