"""What every training shares: where it computes, its schedule, the moving average of its weights, and how it goes on after an interruption.

The same code runs on a CPU and on a GPU, in bfloat16 where that is quick (`autocast`). A run writes `last.pt` after each epoch; one that was cut
off reads it and goes on, and since each epoch draws its chances from its own number, it comes to the same end.
"""

from __future__ import annotations

import json
import math
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mner.dropout import seed_dropout


def add_machine_options(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="", help="cpu or cuda; a GPU where there is one")


def prepare_machine(args: Namespace) -> torch.device:
    """Seeds and threads as the options say; the device to compute on."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    seed_dropout(args.seed)
    return torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the machine computes in it: every GPU, and a CPU with AVX-512 BF16, which trains half as fast again with it."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def parameter_groups(model: nn.Module, rate_of: Callable[[str], float], decay: float) -> list[dict[str, Any]]:
    """Trained parameters by the rate that their name has; a rate of 0 freezes. Neither vectors nor a CRF's scores decay."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, p in model.named_parameters():
        rate = rate_of(name)
        if not rate:
            p.requires_grad_(False)
        if p.requires_grad:
            groups.setdefault((rate, decay if p.ndim > 1 and "crf." not in name else 0.0), []).append(p)
    return [{"params": v, "lr": rate, "weight_decay": d} for (rate, d), v in groups.items()]


class Average:
    """Exponential moving average of the trained weights, short at first so that the start is forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.source = [p for p in model.parameters() if p.requires_grad]
        self.value = [p.detach().clone() for p in self.source]

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (self.steps + 1) / (self.steps + 10))
        torch._foreach_lerp_(self.value, [p.detach() for p in self.source], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average."""
        for p, v in zip(self.source, self.value, strict=True):
            held = p.detach().clone()
            p.copy_(v)
            v.copy_(held)


class Fitting:
    """A model in training: optimiser, linear warm-up and decay, moving average, history, and the file to go on from."""

    def __init__(
        self,
        model: nn.Module,
        groups: list[dict[str, Any]],
        steps: int,
        out: Path,
        warm_up: float = 0.1,
        average: float = 0.995,
        clip: float = 5.0,
        cosine: bool = False,
    ) -> None:
        """`average` 0 keeps the weights of the last step instead. `cosine` is the other shape of decay."""
        self.model, self.out, self.clip, self.steps = model, out, clip, steps
        self.trained: list[Tensor] = [p for g in groups for p in g["params"]]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        warm = max(1, round(warm_up * steps))
        line = lambda i: max(0.02, (steps - i) / max(1, steps - warm))  # noqa: E731
        wave = lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / steps))) + 0.01  # noqa: E731
        fall = wave if cosine else line
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda i: min((i + 1) / warm, fall(i)))
        self.average = Average(model, average)
        self.done = 0  # steps of this process
        self.epoch = 0
        self.best = -1.0
        self.history: list[dict[str, Any]] = []
        out.mkdir(parents=True, exist_ok=True)

    def begin_epoch(self, seed: int) -> None:
        """Into training mode, with the chances of dropout that belong to this epoch, whatever ran before it."""
        torch.manual_seed(seed * 1000 + self.epoch)
        seed_dropout(seed * 1000 + self.epoch)
        self.model.train()

    def step(self, loss: Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.average.update()

    def run_epoch(
        self,
        seed: int,
        chunks: Iterable[list[int]],
        loss_of: Callable[[list[int]], Tensor],
        score: Callable[[], tuple[float, dict[str, Any]]],
        header: dict[str, Any],
        shown: Callable[[dict[str, Any]], str],
        limit: int = 0,
    ) -> bool:
        """A whole epoch: a step for each chunk of rows, whose mean loss `loss_of` gives, then `end_epoch`; `shown` puts what that found into words.

        False where it stopped after `limit` steps of this process.
        """
        device, number = self.trained[0].device, self.epoch
        self.begin_epoch(seed)
        started, total, rows = time.monotonic(), 0.0, 0
        for index in chunks:
            with autocast(device):
                loss = loss_of(index)
            self.step(loss)
            total += loss.item() * len(index)
            rows += len(index)
            self.done += 1
            if self.done % 50 == 0:
                print(f"  step {self.done}/{self.steps} loss {loss.item():.3f} {time.monotonic() - started:.0f}s", flush=True)
            if limit and self.done >= limit:
                return False
        mean, seconds = total / rows, time.monotonic() - started
        print(f"epoch {number} loss {mean:.3f} {seconds:.0f}s {shown(self.end_epoch(score, header))}", flush=True)
        return True

    def end_epoch(self, score: Callable[[], tuple[float, dict[str, Any]]], header: dict[str, Any]) -> dict[str, Any]:
        """Judge the averaged weights; keep them as `best.pt` where they are the best so far, always as `final.pt`; write `last.pt`.

        `score` returns what to be judged by and what to remember. `header` is stored beside the weights.
        """
        self.average.swap()
        mean, found = score()
        kept = {**header, "model": self.model.state_dict(), "epoch": self.epoch, "valid": found}
        for name in ("best.pt", "final.pt") if mean > self.best else ("final.pt",):
            _save(kept, self.out / name)
        self.best = max(self.best, mean)
        self.average.swap()
        self.history.append({"epoch": self.epoch, **found})
        (self.out / "history.json").write_text(json.dumps(self.history, indent=1))
        self.epoch += 1
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        rest = {"average": self.average.value, "average_steps": self.average.steps, "epoch": self.epoch, "best": self.best, "history": self.history}
        _save(state | rest, self.out / "last.pt")
        return found

    def resume(self) -> None:
        last = self.out / "last.pt"
        if not last.exists():
            return
        state = torch.load(last, weights_only=False, map_location=self.trained[0].device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.value, self.average.steps = state["average"], state["average_steps"]
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]


def _save(what: dict[str, Any], path: Path) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".tmp")
    torch.save(what, part)
    part.replace(path)
