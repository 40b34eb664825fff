"""Pictures for fusion training: real features and bridged ones, in one shape, looked up by image id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mner.families.ham import HamConfig, Picture


class PictureStore:
    """The arrays of one `.npz`: ids, grid, embedding, boxes, object_classes, object_scores."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays: dict[str, NDArray] = {k: file[k] for k in ("grid", "embedding", "boxes", "object_classes", "object_scores")}
            self.rows = {str(name): i for i, name in enumerate(file["ids"].tolist())}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.rows

    def __len__(self) -> int:
        return len(self.rows)


def stack(chosen: list[tuple[PictureStore, str] | None], c: HamConfig) -> Picture:
    """A batch of pictures; None stands for a tweet without one."""
    n = len(chosen)
    grid = np.zeros((n, c.cells, c.grid_width), np.float32)
    embedding = np.zeros((n, c.embedding_width), np.float32)
    boxes = np.zeros((n, c.objects, 4), np.float32)
    classes = np.zeros((n, c.objects), np.int64)
    scores = np.zeros((n, c.objects), np.float32)
    image = np.zeros(n, np.float32)
    for i, entry in enumerate(chosen):
        if entry is not None:
            store, name = entry
            k, a = store.rows[name], store.arrays
            image[i] = 1
            grid[i], embedding[i], boxes[i] = a["grid"][k], a["embedding"][k], a["boxes"][k]
            classes[i], scores[i] = a["object_classes"][k], a["object_scores"][k]
    return Picture(*map(torch.from_numpy, (image, grid, embedding, boxes, classes, scores)))


def random_store(ids: list[str], path: Path, c: HamConfig, seed: int = 0) -> None:
    """Stand-in features for a dry run, before the vision student exists."""
    random = np.random.default_rng(seed)
    n = len(ids)
    corner = random.random((n, c.objects, 2)) * 0.5
    there = np.arange(c.objects) < random.integers(0, c.objects + 1, (n, 1))
    np.savez(
        path,
        ids=np.array(ids),
        grid=random.normal(size=(n, c.cells, c.grid_width)).astype(np.float16),
        embedding=random.normal(size=(n, c.embedding_width)).astype(np.float16) / 20,
        boxes=(np.concatenate([corner, corner + 0.4], 2) * there[..., None]).astype(np.float32),
        object_classes=np.where(there, random.integers(1, c.classes + 1, (n, c.objects)), 0),
        object_scores=np.where(there, random.random((n, c.objects)), 0).astype(np.float32),
    )
