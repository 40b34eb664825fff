"""Step 6: trains the student for a number of seconds; stops, resumes and ends on time.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m mner.vision.train --seconds 2700 --views 7

A process for each core does more than a thread for each: they share a batch and take the mean of their gradients. `python -m` runs one alone.

The learning rate follows a cosine over seconds, not steps, so a busy machine sees fewer pictures and still ends on time. Small pictures
first: a picture at 96 pixels costs a third of one at 160, the size that ships, which only the last part sees. The checkpoint
`<work>/vision/<name>.pt` holds the raw and the averaged weights; the averaged ones ship.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed, nn

from mner.fitting import autocast

from . import losses
from .metrics import agreement, retrieval, rounded
from .network import Student
from .objects import Targets
from .pseudo import Captions
from .store import Paths, Pictures, arguments, read_canvases, read_pictures
from .teacher import read_classifier, view_boxes
from .views import training_batch, whole_pictures

SIDES = ((0.4, 96), (0.8, 128), (1.0, 160))
"""(until which share of the time, pixels a side)"""
SHIPPED_SIDE = SIDES[-1][1]
CHECKPOINT_EVERY, SCORE_EVERY, REPORT_EVERY = 120, 900, 100
AVERAGE_EVERY, AVERAGE_DECAY = 4, 0.992


@dataclass
class Material:
    """Everything that is true of the pictures, on the training device; the canvases stay where they are."""

    pictures: Pictures
    canvases: np.ndarray
    views: Tensor
    """[K, N, 4]"""
    features: Tensor
    """[K, N, 1280] float16"""
    pseudo: Tensor
    """[K, N, 384] float16"""
    captions: Captions
    mean_captions: Tensor
    """[N, 384]; zero for held-out pictures and those without captions"""
    place: Tensor
    """[N] place in the bank, or -1"""
    captioned: Tensor
    """[n] training pictures with captions, in the order of the bank"""
    objects: Targets
    device: torch.device

    def canvas(self, rows: Tensor) -> Tensor:
        """[B, C, C, 3] uint8 on the device."""
        return torch.from_numpy(self.canvases[rows.cpu().numpy()]).to(self.device)

    def lesson(self, rows: Tensor, view: Tensor, bank: Tensor, seen: Targets) -> losses.Lesson:
        features, pseudo = self.features[view, rows].float(), self.pseudo[view, rows].float()
        return losses.Lesson(features, pseudo, self.mean_captions[rows], self.place[rows], bank, seen)


def read_material(paths: Paths, views: int, device: torch.device) -> Material:
    pictures = read_pictures(paths)
    captions = Captions(paths, pictures)
    captioned = torch.from_numpy(np.intersect1d(pictures.of("flickr8k"), pictures.training()))
    means = torch.zeros(len(pictures), captions.embeddings.shape[1])
    means[captioned] = captions.mean(captioned)
    place = torch.full((len(pictures),), -1)
    place[captioned] = torch.arange(len(captioned))
    arrays = {
        name: torch.from_numpy(np.load(paths.array(f"detection-{name}"))).to(device) for name in ("boxes", "scores", "classes")
    }

    def stack(name: str) -> Tensor:
        return torch.stack([torch.from_numpy(np.load(paths.array(f"{name}-{view}"))) for view in range(views)]).to(device)

    boxes = torch.stack([torch.from_numpy(view_boxes(view, pictures.aspects)) for view in range(views)]).to(device)
    return Material(
        pictures, read_canvases(paths), boxes, stack("teacher"), stack("pseudo"), captions, means.to(device), place.to(device),
        captioned, Targets(**arrays), device,
    )  # fmt: skip


class Peers:
    """The processes that train one student together; one alone where `torchrun` did not start it."""

    def __init__(self) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        if self.count > 1:
            distributed.init_process_group("gloo")

    def agree(self, gradients: list[Tensor], seconds: float) -> float:
        """Each process's gradients become the mean of all, in place; the first one's clock is everyone's."""
        if self.count == 1:
            return seconds
        clock = torch.tensor([seconds * self.count if self.rank == 0 else 0.0], device=gradients[0].device)
        flat = torch.cat([*(g.flatten() for g in gradients), clock])
        distributed.all_reduce(flat)
        flat /= self.count
        parts = flat[:-1].split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(flat[-1])


@torch.no_grad()
def score(student: Student, material: Material, side: int, teacher_logits: Tensor) -> dict[str, float]:
    """Retrieval and agreement on held-out pictures. teacher_logits [N, 1001]."""
    scores: dict[str, float] = {}
    for source, prefix in (("flickr8k", ""), ("tweets", "tweets_")):
        rows = torch.from_numpy(material.pictures.held_out(source))
        outs = [student(whole_pictures(material.canvas(part), side)) for part in rows.split(50)]
        if source == "flickr8k":
            embeddings = torch.cat([out.embedding for out in outs]).cpu()
            scores |= retrieval(embeddings, *material.captions.of(rows))
        tags = torch.cat([out.tags for out in outs]).cpu()
        scores |= {prefix + name: value for name, value in agreement(tags, teacher_logits[rows]).items()}
    return rounded(scores)


def optimiser_of(student: Student, scale: nn.Parameter, rate: float) -> torch.optim.Optimizer:
    """AdamW; no decay on biases, batch norms and the contrast's scale."""
    matrices = [p for p in student.parameters() if p.ndim > 1]
    vectors = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": [*vectors, scale], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.99), fused=True)


@torch.no_grad()
def follow(average: Student, student: Student, step: int) -> None:
    """Moves the averaged weights towards the raw ones, faster at the beginning."""
    count = step / AVERAGE_EVERY
    decay = min(AVERAGE_DECAY, (1 + count) / (20 + count))
    pairs = zip(average.state_dict().values(), student.state_dict().values(), strict=True)
    slow, fast = zip(*[(a, s) for a, s in pairs if a.dtype.is_floating_point], strict=True)
    torch._foreach_lerp_(list(slow), list(fast), 1 - decay)


class Run:
    """One training run: state that a checkpoint holds, and the loop."""

    def __init__(self, paths: Paths, options: argparse.Namespace) -> None:
        self.options, self.peers = options, Peers()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.material = read_material(paths, options.views, self.device)
        self.classifier = read_classifier(paths).to(self.device)
        rows = torch.from_numpy(self.material.pictures.training()).to(self.device)
        whole = self.material.features[0, rows].float()
        self.rows, self.standard = rows, losses.Standard(whole.mean(0), whole.std(0) + 0.02)
        self.teacher_logits = self.classifier(self.material.features[0].float()).cpu()
        torch.manual_seed(options.seed)
        self.student = Student().to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student).eval()
        self.scale = nn.Parameter(torch.tensor(math.log(20.0), device=self.device))
        self.optimiser = optimiser_of(self.student, self.scale, options.rate)
        self.file = paths.vision / f"{options.name}.pt"
        self.seconds, self.started, self.step, self.seen = 0.0, 0.0, 0, 0
        if self.file.exists():
            self.resume(self.file)
        torch.manual_seed(options.seed + self.step + 1_000_000 * self.peers.rank)

    def resume(self, file: Path) -> None:
        kept = torch.load(file, map_location=self.device, weights_only=True)
        self.student.load_state_dict(kept["student"])
        self.average.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.scale.data.copy_(kept["scale"])
        self.seconds, self.step, self.seen = kept["seconds"], kept["step"], kept["seen"]
        if self.peers.rank == 0:
            print(f"resumes after {self.seconds:.0f} s, {self.seen} pictures", flush=True)

    def keep(self) -> None:
        unfinished = self.file.with_suffix(".unfinished")
        torch.save({
            "student": self.student.state_dict(), "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict(),
            "scale": self.scale.data, "seconds": self.seconds, "step": self.step, "seen": self.seen, "side": SHIPPED_SIDE,
            "processes": self.peers.count,
        }, unfinished)  # fmt: skip
        unfinished.rename(self.file)

    def learn(self, rows: Tensor, bank: Tensor) -> dict[str, float]:
        """One step on pictures `rows` [B]; returns the parts of the loss."""
        share = min(1.0, self.seconds / self.options.seconds)
        side = next(side for until, side in SIDES if share <= until)
        warm = min(1.0, (self.step + 1) / 200)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        material = self.material
        whole = Targets(material.objects.boxes[rows], material.objects.scores[rows], material.objects.classes[rows])
        batch = training_batch(material.canvas(rows), material.views[:, rows], whole, side)
        lesson = material.lesson(rows, batch.view, bank, batch.objects)
        self.student.train()
        with autocast(self.device):
            out = self.student(batch.pixels)
        found = losses.parts(out, lesson, self.standard, self.classifier, self.scale.exp().clamp(max=100))
        self.optimiser.zero_grad()
        losses.total(found).backward()
        learned = [*self.student.parameters(), self.scale]
        for p in learned:  # `scale` has no gradient where no picture of the batch has a caption; the mean over processes needs one
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        self.seconds = self.peers.agree([p.grad for p in learned if p.grad is not None], time.monotonic() - self.started)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.seen += len(rows) * self.peers.count
        if self.step % AVERAGE_EVERY == 0:
            follow(self.average, self.student, self.step)
        return {name: value.item() for name, value in found.items()}

    def report(self, title: str) -> None:
        found = score(self.average, self.material, SHIPPED_SIDE, self.teacher_logits)
        print(title, f"{self.seconds:.0f} s, {self.seen} pictures", found, flush=True)

    def batches(self) -> Iterator[Tensor]:
        """This process's share of each batch of one epoch; the order is the same for all processes."""
        shuffle = torch.Generator().manual_seed(self.options.seed + self.step)
        order = self.rows[torch.randperm(len(self.rows), generator=shuffle).to(self.device)]
        whole = self.options.batch * self.peers.count
        for rows in order.split(whole):
            if len(rows) == whole:
                yield rows[self.peers.rank :: self.peers.count]

    def train(self) -> None:
        self.started = time.monotonic() - self.seconds
        first = self.peers.rank == 0
        kept = scored = self.seconds
        running: dict[str, float] = {}
        if len(self.rows) < self.options.batch * self.peers.count:
            raise ValueError(f"{len(self.rows)} pictures do not fill one batch: --batch must be smaller")
        while self.seconds < self.options.seconds:
            bank = self.material.captions.one_each(self.material.captioned).to(self.device)
            for rows in self.batches():
                for name, value in self.learn(rows, bank).items():
                    running[name] = 0.98 * running.get(name, value) + 0.02 * value
                if first and self.step % REPORT_EVERY == 0:
                    shown = {name: round(value, 3) for name, value in running.items()}
                    print(f"step {self.step}, {self.seconds:.0f} s, {self.seen} pictures", shown, flush=True)
                if first and self.seconds - kept > CHECKPOINT_EVERY:
                    self.keep()
                    kept = self.seconds
                if first and self.seconds - scored > SCORE_EVERY:
                    self.report("scores")
                    scored = self.seconds
                if self.seconds >= self.options.seconds:
                    break
        if first:
            self.keep()
            self.report("final")
        if self.peers.count > 1:
            distributed.destroy_process_group()


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--name", default="student")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="of each process")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Run(Paths(options.data, options.work), options).train()
