"""Step 8: scores of a vision graph on held-out pictures, and its speed.

    python -m mner.vision.report ../vision-int8/model.onnx

500 pictures of Flickr8k with 2500 captions (chance R@10 is 2 %), and 300 tweets; no training step has seen them. Pictures are decoded
and squashed as the worker does it, from the shards, not from the training's canvases.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from . import objects
from .metrics import agreement, retrieval, rounded
from .pseudo import Captions
from .runner import Features, Runner, shard_pictures
from .store import Paths, arguments, read_pictures
from .teacher import read_classifier


def teacher_objects(paths: Paths, rows: np.ndarray) -> list[objects.Found]:
    """The five best objects of the detector in each picture, score at least `SURE`."""
    boxes, classes, scores = (np.load(paths.array(f"detection-{name}"))[rows] for name in ("boxes", "classes", "scores"))
    found = []
    for b, c, s in zip(boxes, classes, scores, strict=True):
        sure = np.flatnonzero(s >= objects.SURE)[: objects.BEST]
        found.append(objects.Found(b[sure], s[sure], c[sure]))
    return found


def score_source(paths: Paths, source: str, features: Features, tags: np.ndarray) -> dict[str, float]:
    """Scores of one source's held-out pictures; `features` and `tags` stand in the order of their rows."""
    pictures = read_pictures(paths)
    rows = pictures.held_out(source)
    assert [pictures.keys[row] for row in rows] == features.ids
    scores: dict[str, float] = {}
    if source == "flickr8k":
        captions = Captions(paths, pictures)
        scores |= retrieval(torch.from_numpy(features.embedding), *captions.of(torch.from_numpy(rows)))
    teacher = read_classifier(paths)(torch.from_numpy(np.load(paths.array("teacher-0"))[rows]).float())
    scores |= agreement(torch.from_numpy(tags).float(), teacher)
    wanted = teacher_objects(paths, rows)
    counts = [objects.count_matches(features.objects(i), w) for i, w in enumerate(wanted)]
    totals = [sum(column) for column in zip(*counts, strict=True)]
    return scores | objects.f1(*totals) | {"objects_found": totals[1], "objects_wanted": totals[2]}


def held_out_features(runner: Runner, paths: Paths, source: str) -> tuple[Features, np.ndarray]:
    pictures = read_pictures(paths)
    keys = {pictures.keys[row] for row in pictures.held_out(source)}
    return runner.features(shard_pictures(paths, source, keys))


def speed(runner: Runner, batch: int, seconds: float = 4.0) -> float:
    """Pictures for each second of one thread's processor time, the graph alone: the median of runs over some seconds.

    Processor time, not time on the wall: other work on the machine hardly shows in it.
    """
    pixels = np.random.RandomState(0).randint(0, 256, (batch, runner.side, runner.side, 3)).astype(np.uint8)
    runner.run(pixels)
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.thread_time()
        runner.run(pixels)
        times.append(time.thread_time() - started)
    return batch / float(np.median(times))


def report(graph: Path, paths: Paths, with_speed: bool = True) -> dict[str, dict[str, float]]:
    runner = Runner(graph)
    scores: dict[str, dict[str, float]] = {}
    for source in ("flickr8k", "tweets"):
        features, tags = held_out_features(runner, paths, source)
        support = {"pictures": len(features.ids)}
        scores[source] = support | rounded(score_source(paths, source, features, tags))
    if with_speed:
        scores["speed_one_thread"] = {f"pictures_per_second_batch_{n}": round(speed(runner, n), 1) for n in (1, 16)}
    return scores


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("graph", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(report(options.graph, Paths(options.data, options.work)), indent=1))
