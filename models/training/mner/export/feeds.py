"""Encoded tweets as the feeds that an ONNX session takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mner.export.graph import INPUTS
from mner.families.ham import HamConfig
from mner.families.pictures import PictureStore, stack
from mner.text.batch import Encoded, collate
from mner.text.words import Pieces

Feed = dict[str, NDArray[Any]]


def text_feed(rows: list[Encoded], pieces: Pieces) -> Feed:
    batch = collate(rows, pieces)
    return {name: value.numpy() for name, value in zip(INPUTS[:6], batch.text(), strict=True)}


def picture_feed(pictures: list[tuple[PictureStore, str] | None], c: HamConfig) -> Feed:
    """What the worker sends of the pictures: all zero for a tweet without one."""
    picture = stack(pictures, c)
    feed = {name: value.numpy() for name, value in zip(INPUTS[6:], picture, strict=True)}
    return feed | {name: feed[name].astype(np.float16) for name in ("grid", "embedding")}
