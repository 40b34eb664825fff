"""What an exported graph is worth: F1 through ONNX Runtime, sameness of a row whatever stands beside it, speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from mner.crf import Crf
from mner.export.feeds import Feed, picture_feed, text_feed
from mner.families.ham import HamConfig
from mner.families.pictures import PictureStore
from mner.labels import LABELS
from mner.text.batch import Encoded, batches
from mner.text.words import Pieces


def open_session(path: Path, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def pictures_for(rows: list[Encoded], store: PictureStore | None, kind: str, seed: int = 9) -> list[tuple[PictureStore, str] | None]:
    """`none`: no pictures; `own`: each tweet's; `other`: another tweet's. A tweet without a picture gets none in either case."""
    if store is None or kind == "none":
        return [None] * len(rows)
    names = [r.tweet.image_id if r.tweet.image_id in store else "" for r in rows]
    if kind == "other":
        have = [n for n in names if n]
        random = Random(seed)
        names = [random.choice(have) if n else "" for n in names]
    return [(store, n) if n else None for n in names]


def emissions_of(
    session: ort.InferenceSession, rows: list[Encoded], pieces: Pieces, c: HamConfig, pictures: list[tuple[PictureStore, str] | None], size: int = 32
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Emissions of each tweet, [T,heads,labels], and the relevance of its picture."""
    out: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
    relevance = np.zeros(len(rows), np.float32)
    for index in batches(rows, size):
        feed = text_feed([rows[i] for i in index], pieces) | picture_feed([pictures[i] for i in index], c)
        emissions, r, _ = session.run(None, feed)
        for j, i in enumerate(index):
            out[i] = emissions[j, : len(rows[i].labels)]
            relevance[i] = r[j]
    return out, relevance


def pad(emissions: list[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """→ emissions [N,T,heads,labels], mask [N,T]"""
    lengths = torch.tensor([len(e) for e in emissions])
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(e) for e in emissions], batch_first=True)
    return padded, torch.arange(padded.shape[1])[None] < lengths[:, None]


def decode(emissions: list[NDArray[np.float32]], rows: list[Encoded], crf: Crf) -> list[list[str]]:
    padded, mask = pad(emissions)
    head = torch.tensor([r.head for r in rows])
    paths = crf.decode(padded[torch.arange(len(rows)), :, head], mask, head)
    return [[LABELS[x] for x in path] for path in paths]


@torch.no_grad()
def fit_temperature(emissions: list[NDArray[np.float32]], rows: list[Encoded], crf: Crf, head: int) -> float:
    """The temperature with the least negative log-likelihood: emissions, transitions, start and end are all divided by it."""
    padded, mask = pad(emissions)
    labels = torch.nn.utils.rnn.pad_sequence([torch.tensor(r.labels) for r in rows], batch_first=True)
    heads = torch.full((len(rows),), head)
    free = (crf.transitions_free, crf.start_free, crf.end)
    held = [p.clone() for p in free]
    losses = {}
    for temperature in np.arange(0.8, 3.01, 0.05).round(2).tolist():
        for p, h in zip(free, held, strict=True):
            p.copy_(h / temperature)
        losses[temperature] = float(crf.nll(padded[:, :, head] / temperature, labels, mask, heads).sum())
    for p, h in zip(free, held, strict=True):
        p.copy_(h)
    return min(losses, key=losses.__getitem__)


def alone_and_together(session: ort.InferenceSession, items: list[Any], feed_of: Callable[[list[Any]], Feed]) -> float:
    """Largest difference of an emission between a tweet alone and the same tweet in a padded batch of 32 of all lengths."""
    worst = 0.0
    for begin in range(0, len(items) - 31, 32):
        some = items[begin : begin + 32]
        (together,) = session.run(["emissions"], feed_of(some))
        for i, item in enumerate(some):
            (alone,) = session.run(["emissions"], feed_of([item]))
            worst = max(worst, float(np.abs(alone[0] - together[i, : alone.shape[1]]).max()))
    return worst


def speed_of(session: ort.InferenceSession, feed: Feed, tweets: int, clock: Callable[[], float] = time.perf_counter, runs: int = 15) -> float:
    """Tweets a second over the fastest half of the runs."""
    for _ in range(2):
        session.run(None, feed)
    spent = []
    for _ in range(runs):
        begin = clock()
        session.run(None, feed)
        spent.append(clock() - begin)
    half = sorted(spent)[: (runs + 1) // 2]
    return tweets * len(half) / sum(half)


def speed(session: ort.InferenceSession, feed: Feed) -> float:
    """Tweets a second of `ham`'s feed."""
    return speed_of(session, feed, len(feed["image"]))


def instructions() -> str:
    """What of a CPU decides how fast int8 is."""
    path = Path("/proc/cpuinfo")
    flags = set(path.read_text().split()) if path.exists() else set()
    return next((said for flag, said in (("avx512_vnni", "AVX-512 with VNNI"), ("avx_vnni", "AVX2 with VNNI"), ("avx2", "AVX2 without VNNI")) if flag in flags), "this CPU")
