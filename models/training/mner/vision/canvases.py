"""Step 1: decodes every picture of the shards once, to uint8 canvases of one size.

    python -m mner.vision.canvases

Writes `canvases.npy` ([N, 192, 192, 3]), `aspects.npy` ([N]) and `pictures.json` (source, key and captions of each).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .store import CANVAS, SHARDS, Paths, arguments, save, write_pictures


def read_shard(shard: Path) -> Iterator[tuple[str, bytes, dict]]:
    """Yields (key, bytes of the picture, its JSON) of a WebDataset shard, by key."""
    pictures: dict[str, bytes] = {}
    notes: dict[str, dict] = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            key, _, kind = member.name.rpartition(".")
            content = archive.extractfile(member)
            if content is None:
                continue
            if kind == "json":
                notes[key] = json.loads(content.read())
            else:
                pictures[key] = content.read()
    for key in sorted(pictures):
        yield key, pictures[key], notes.get(key, {})


def decode(content: bytes) -> Image.Image | None:
    """RGB picture, or None where the bytes are no picture."""
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None


def squash(picture: Image.Image, side: int) -> np.ndarray:
    """[side, side, 3] uint8: the whole picture, whatever its aspect."""
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def prepare(paths: Paths) -> None:
    if paths.array("canvases").exists():
        return
    canvases, aspects, rows = [], [], []
    for source, shard in SHARDS.items():
        for key, content, note in read_shard(paths.data / shard):
            picture = decode(content)
            if picture is None:
                print(f"{source}/{key}: not a picture, left out")
                continue
            canvases.append(squash(picture, CANVAS))
            aspects.append(picture.width / picture.height)
            rows.append({"source": source, "key": key, "captions": note.get("captions", [])})
        print(source, len(rows), flush=True)
    write_pictures(paths, rows, aspects)
    save(paths.array("canvases"), np.stack(canvases))


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    prepare(Paths(options.data, options.work))
