"""The two label lists of a vision bundle."""

from __future__ import annotations

from pathlib import Path

from .detections import coco_names
from .store import Paths


def tag_names(paths: Paths) -> list[str]:
    """1001 names, the first of each line's synonyms ("tench, Tinca tinca" is "tench"); the first one is "background"."""
    lines = (paths.data / "teachers/imagenet_labels.txt").read_text().splitlines()
    return [line.split(",")[0].strip() for line in lines]


def write_labels(paths: Paths, folder: Path) -> None:
    for name, labels in (("tags.txt", tag_names(paths)), ("objects.txt", coco_names(paths))):
        (folder / name).write_text("\n".join(labels) + "\n")
