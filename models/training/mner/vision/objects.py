"""The object head: which cell answers for which object, its loss, and how detections are scored.

A cell of the fine map answers for an object when the object's centre lies within 3/4 of a cell of its own; the smaller object wins.
Objects that the teacher is unsure of (score below `SURE`) are neither right nor wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .detections import suppress

SURE, REACH = 0.3, 0.75
BEST, OVERLAP, LEAST_SCORE = 5, 0.5, 0.3
"""What the worker keeps: `docs/bundles.md`."""


@dataclass(frozen=True)
class Targets:
    """The teacher's objects in B pictures, at most M each; a score of 0 means no object."""

    boxes: Tensor
    """[B, M, 4]"""
    scores: Tensor
    """[B, M]"""
    classes: Tensor
    """[B, M]"""


def decode(boxes: Tensor) -> Tensor:
    """[B, 4, h, w] logits -> [B, h*w, 4] x0, y0, x1, y1 as shares of the picture.

    A centre may leave its cell by half a cell; a side is a share of the picture.
    """
    height, width = boxes.shape[2:]
    row = torch.arange(height, device=boxes.device, dtype=boxes.dtype).view(1, height, 1)
    column = torch.arange(width, device=boxes.device, dtype=boxes.dtype).view(1, 1, width)
    p = boxes.sigmoid()
    x, y = (column + 2 * p[:, 0] - 0.5) / width, (row + 2 * p[:, 1] - 0.5) / height
    half_w, half_h = p[:, 2] / 2, p[:, 3] / 2
    corners = torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], -1)
    return corners.flatten(1, 2).clamp(0, 1)


def probabilities(guesses: Tensor) -> Tensor:
    """[B, 85, h, w] logits -> [B, h*w, 80]: objectness times class."""
    flat = guesses.flatten(2).transpose(1, 2)
    return flat[:, :, 4:5].sigmoid() * flat[:, :, 5:].softmax(-1)


def assign(targets: Targets, height: int, width: int) -> tuple[Tensor, Tensor]:
    """([B, h*w] index of the object that each cell answers for, or -1; [B, h*w] whether the cell is left out of the loss)."""
    device = targets.boxes.device
    row, column = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    cells = torch.stack([(column.flatten() + 0.5) / width, (row.flatten() + 0.5) / height], 1)
    centres = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    sides = targets.boxes[..., 2:] - targets.boxes[..., :2]
    reach = torch.tensor([REACH / width, REACH / height], device=device)
    near = ((cells[None, None] - centres[:, :, None]).abs() < reach).all(-1)
    area = torch.where(targets.scores >= SURE, sides.prod(-1), torch.inf)
    cost = torch.where(near, area[:, :, None], torch.inf)
    least, which = cost.min(1)
    unsure = (near & (targets.scores > 0)[:, :, None]).any(1)
    chosen = torch.where(least.isfinite(), which, -1)
    return chosen, unsure & (chosen < 0)


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of [n, 4] pairs."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1) + (b[:, 2:] - b[:, :2]).clamp(min=0).prod(1) - shared
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def loss(guesses: Tensor, targets: Targets) -> Tensor:
    """Objectness on every cell, class and box on the cells that answer for an object; per such cell."""
    height, width = guesses.shape[2:]
    chosen, left_out = assign(targets, height, width)
    flat = guesses.flatten(2).transpose(1, 2)
    answers = chosen >= 0
    count = answers.sum().clamp(min=1)
    objectness = F.binary_cross_entropy_with_logits(flat[..., 4], answers.float(), reduction="none")
    total = (objectness * ~left_out).sum() / count
    if answers.any():
        picture, cell = answers.nonzero(as_tuple=True)
        which = chosen[picture, cell]
        boxes, wanted = decode(guesses[:, :4])[picture, cell], targets.boxes[picture, which]
        _, generalised = overlap(boxes, wanted)
        total = total + 2 * (1 - generalised).mean() + 2 * F.l1_loss(boxes, wanted)
        total = total + F.cross_entropy(flat[picture, cell, 5:], targets.classes[picture, which])
    return total


@dataclass(frozen=True)
class Found:
    """Objects of one picture, best first: boxes [k, 4], scores [k], classes [k]."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def select(boxes: np.ndarray, scores: np.ndarray, least: float = LEAST_SCORE) -> Found:
    """What the worker keeps of boxes [Q, 4] and object_scores [Q, 80]."""
    best, classes = scores.max(1), scores.argmax(1)
    rows = np.flatnonzero(best >= least)
    kept = rows[suppress(boxes[rows], best[rows], classes[rows], OVERLAP, BEST)]
    return Found(boxes[kept], best[kept], classes[kept])


def count_matches(found: Found, teacher: Found) -> tuple[int, int, int]:
    """(true positives, found, wanted): a found object is right if an unused one of the teacher's has its class and IoU >= 0.5."""
    used: set[int] = set()
    right = 0
    for box, kind in zip(found.boxes, found.classes, strict=True):
        rivals = [j for j in np.flatnonzero(teacher.classes == kind) if j not in used]
        if not rivals:
            continue
        pairs = torch.from_numpy(np.repeat(box[None], len(rivals), 0)).float()
        iou, _ = overlap(pairs, torch.from_numpy(teacher.boxes[rivals]).float())
        if float(iou.max()) >= 0.5:
            used.add(rivals[int(iou.argmax())])
            right += 1
    return right, len(found.classes), len(teacher.classes)


def f1(right: int, found: int, wanted: int) -> dict[str, float]:
    precision, recall = right / max(found, 1), right / max(wanted, 1)
    both = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"object_precision": 100 * precision, "object_recall": 100 * recall, "object_f1": 100 * both}
