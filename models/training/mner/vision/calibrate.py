"""Brings each object class's score to the worker's one threshold.

Seven boxes in ten show a person, so the student is timid about everything else: it ranks pictures of cars or horses well, but
hardly gives them a tenth. Each class's odds are multiplied by a number such that a score of 0.3 stands where the class's F1 is best on
training pictures. A score is therefore a rank on a common scale, not a frequency.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import objects
from .detections import suppress
from .network import CLASSES, Student
from .store import Paths, read_canvases, read_pictures
from .views import whole_pictures

PICTURES, LEAST, FEWEST, WORTH, MOST = 4000, 0.02, 15, 0.05, 6.0
"""Training pictures to look at; lowest score to consider; fewest objects of a class, and least F1, for it to be lifted;
the most that odds are multiplied by: what needs more is mostly noise on pictures that the student has not seen."""


def lifted(score: Tensor, lift: Tensor) -> Tensor:
    """[..., 80] scores with their odds multiplied by [80]."""
    raised = score * lift
    return raised / (1 - score + raised)


def judge(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> list[tuple[float, bool]]:
    """(score, right) of what one class's scores [Q] on boxes [Q, 4] find in a picture, where `truth` [k, 4] are its objects."""
    rows = np.flatnonzero(scores >= LEAST)
    kept = rows[suppress(boxes[rows], scores[rows], np.zeros(len(rows)), objects.OVERLAP, objects.BEST)]
    unused, verdicts = list(range(len(truth))), []
    for row in kept:
        pairs = torch.from_numpy(boxes[row][None].repeat(max(len(unused), 1), 0))
        iou = objects.overlap(pairs, torch.from_numpy(truth[unused]))[0] if unused else torch.zeros(1)
        right = float(iou.max()) >= 0.5
        if right:
            unused.pop(int(iou.argmax()))
        verdicts.append((float(scores[row]), right))
    return verdicts


def best_threshold(verdicts: list[tuple[float, bool]], wanted: int) -> float | None:
    """The score above which F1 is best; None where that is worth nothing."""
    if wanted < FEWEST or not verdicts:
        return None
    ordered = sorted(verdicts, reverse=True)
    right = np.cumsum([hit for _, hit in ordered])
    f1 = 2 * right / (np.arange(1, len(ordered) + 1) + wanted)
    return ordered[int(f1.argmax())][0] if f1.max() >= WORTH else None


@torch.no_grad()
def lifts(student: Student, paths: Paths, side: int) -> Tensor:
    """[80] what each class's odds are multiplied by."""
    rows = np.sort(np.random.RandomState(2).permutation(read_pictures(paths).training())[:PICTURES])
    canvases = read_canvases(paths)
    truth = [np.load(paths.array(f"detection-{name}"))[rows] for name in ("boxes", "scores", "classes")]
    sure = truth[1] >= objects.SURE
    verdicts: list[list[tuple[float, bool]]] = [[] for _ in range(CLASSES)]
    for part in np.array_split(np.arange(len(rows)), len(rows) // 50):
        guess = student(whole_pictures(torch.from_numpy(canvases[rows[part]]), side)).objects
        boxes, scores = objects.decode(guess[:, :4]).numpy(), objects.probabilities(guess).numpy()
        for place, index in enumerate(part):
            for kind in np.flatnonzero(scores[place].max(0) >= LEAST):
                there = truth[0][index][sure[index] & (truth[2][index] == kind)]
                verdicts[kind] += judge(boxes[place], scores[place, :, kind], there)
    wanted = np.bincount(truth[2][sure], minlength=CLASSES)
    thresholds = [best_threshold(verdicts[kind], int(wanted[kind])) for kind in range(CLASSES)]
    target = objects.LEAST_SCORE / (1 - objects.LEAST_SCORE)
    lift = [1.0 if t is None else min(MOST, target * (1 - t) / t) for t in thresholds]
    print("lifted", {kind: round(value, 2) for kind, value in enumerate(lift) if value != 1.0}, flush=True)
    return torch.tensor(lift)
