"""Train the text branch on all corpora at once, one output layer and one CRF per corpus, and keep the best on the validation splits.

    python -m mner.text.train --out .work/text --epochs 5 [--warm-up-corpora broad_twitter,wnut17,tweebank_ner] [--data FOLDER]

Twitter-2015 trains head 0 (`ignore`), Twitter-2017 head 1 (`entity`); further corpora get heads that are cut off on export.
Word embeddings stay frozen. A run that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mner.crf import Crf
from mner.dropout import seed_dropout
from mner.labels import LABELS
from mner.score import both
from mner.text.batch import Batch, Encoded, batches, collate, encode
from mner.text.branch import TextBranch, TextConfig
from mner.text.data import CORPORA, data_folder, read_split
from mner.text.encoder import minilm_folder
from mner.text.words import Pieces

HEADS = list(CORPORA)  # the order of the training heads; the product keeps the first two
PRODUCT = HEADS[:2]


class Tagger(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.branch = TextBranch(config)
        self.crf = Crf(config.heads)

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions of each row's own head, [B,T,labels]."""
        every = self.branch(*batch.text()).emissions
        return every[torch.arange(len(every)), :, batch.head]

    def loss(self, batch: Batch) -> Tensor:
        return self.crf.nll(self.emissions(batch), batch.labels, batch.word_mask, batch.head).mean()


@torch.no_grad()
def predict(model: Tagger, rows: list[Encoded], pieces: Pieces) -> list[list[str]]:
    model.eval()
    out: list[list[str]] = [[] for _ in rows]
    for index in batches(rows, 64):
        batch = collate([rows[i] for i in index], pieces)
        for i, path in zip(index, model.crf.decode(model.emissions(batch), batch.word_mask, batch.head), strict=True):
            out[i] = [LABELS[x] for x in path]
    return out


def evaluate(model: Tagger, sets: dict[str, list[Encoded]], pieces: Pieces) -> dict[str, Any]:
    return {name: both([r.tweet.labels for r in rows], predict(model, rows, pieces)) for name, rows in sets.items()}


def parameter_groups(model: Tagger, encoder: float, head: float, crf: float, decay: float) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            rate = crf if name.startswith("crf.") else encoder if name.startswith("branch.encoder.") else head
            groups.setdefault((rate, decay if p.ndim > 1 and not name.startswith("crf.") else 0.0), []).append(p)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5, help="epochs over the product's two corpora")
    parser.add_argument("--warm-up-corpora", default="", help="corpora for one epoch ahead of them, with the product's own")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--encoder-rate", type=float, default=1e-4)
    parser.add_argument("--head-rate", type=float, default=1e-3)
    parser.add_argument("--crf-rate", type=float, default=2e-2)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--average", type=float, default=0.995)
    parser.add_argument("--word-dropout", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps: for timing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    seed_dropout(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    folder, minilm = data_folder(args.data), minilm_folder()
    pieces = Pieces(minilm / "tokenizer.json")
    extra = [c for c in args.warm_up_corpora.split(",") if c]
    train = {c: encode(read_split(folder, c, "train"), HEADS.index(c), pieces) for c in [*PRODUCT, *extra]}
    valid = {c: encode(read_split(folder, c, "valid"), HEADS.index(c), pieces) for c in PRODUCT}
    own = [r for c in PRODUCT for r in train[c]]
    everything = own + [r for c in extra for r in train[c]]
    epochs = ([everything] if extra else []) + [own] * args.epochs

    config = TextConfig(heads=len(HEADS) if extra else len(PRODUCT))
    model = Tagger(config)
    model.branch.encoder.load_minilm(minilm)
    model.branch.encoder.words.weight.requires_grad_(False)
    groups = parameter_groups(model, args.encoder_rate, args.head_rate, args.crf_rate, args.decay)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    steps = sum(math.ceil(len(e) / args.batch) for e in epochs)
    warm = max(1, round(0.1 * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / warm, max(0.02, (steps - i) / (steps - warm))))
    average = Average(model, args.average)

    begin, best, history = 0, -1.0, []
    last = args.out / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=False)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        average.value, average.steps = state["average"], state["average_steps"]
        begin, best, history = state["epoch"], state["best"], state["history"]
    print(f"{len(own)} tweets of the product's corpora, {len(everything)} in all, {steps} steps, from epoch {begin}", flush=True)

    done = 0
    for epoch in range(begin, len(epochs)):
        rows, random = epochs[epoch], np.random.default_rng([args.seed, epoch])
        model.train()
        started, total = time.monotonic(), 0.0
        for index in batches(rows, args.batch, Random(args.seed * 1000 + epoch)):
            loss = model.loss(collate([rows[i] for i in index], pieces, args.word_dropout, random))
            loss.backward()
            nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 5.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            average.update()
            total += loss.item() * len(index)
            done += 1
            if done % 50 == 0:
                print(f"  step {done}/{steps} loss {loss.item():.3f} {(time.monotonic() - started):.0f}s", flush=True)
            if args.steps and done >= args.steps:
                return
        seconds = time.monotonic() - started
        average.swap()
        scores = evaluate(model, valid, pieces)
        mean = sum(s["lenient"]["f1"] for s in scores.values()) / len(scores)
        if mean > best:
            best = mean
            torch.save({"config": config.to_json(), "model": model.state_dict(), "epoch": epoch, "args": vars(args)}, args.out / "best.pt")
        average.swap()
        history.append({"epoch": epoch, "loss": total / len(rows), "seconds": seconds, "scores": scores})
        (args.out / "history.json").write_text(json.dumps(history, indent=1))
        held = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        rest = {"average": average.value, "average_steps": average.steps, "epoch": epoch + 1, "best": best, "history": history}
        torch.save(held | rest, args.out / "last.tmp")
        (args.out / "last.tmp").replace(last)
        shown = " ".join(f"{c} {s['lenient']['f1']:.2f}" for c, s in scores.items())
        print(f"epoch {epoch} loss {total / len(rows):.3f} {seconds:.0f}s valid {shown}", flush=True)


if __name__ == "__main__":
    main()
