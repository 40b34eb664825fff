r"""Train the HamLearning-style fusion over a frozen text branch.

    python -m mner.families.train_ham --text .work/text/best.pt --readings .work/readings --bridged .work/bridged \
        --features .work/features --out .work/ham

Each tweet is seen with its own picture or, as often, with another's. The loss: CRF likelihood of the corrected emissions either way,
cross-entropy of r (own 1, another's 0), distance of the sentence's meaning to MiniLM's sentence embedding, and a small price on
corrections. A tweet without a picture needs no training: its emissions are the text branch's by construction.
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
import torch.nn.functional as F
from torch import Tensor, nn

from mner.crf import Crf
from mner.dropout import seed_dropout
from mner.families.cache import by_hash
from mner.families.fusion_data import FusionBatch, Item, drop_streams, length_batches, make_batch, swapped
from mner.families.ham import Fused, HamConfig, HamFusion
from mner.families.pictures import PictureStore
from mner.labels import LABELS
from mner.score import score
from mner.text.product import load_product

PRODUCT = ("twitter2015", "twitter2017")
SILVER = 0.25
HELD_OUT = {"tweets": 300, "flickr8k": 500}  # the same pictures, by hash, that the vision student never saw


def items_of(path: Path, store: PictureStore, gold: bool) -> list[Item]:
    """The tweets of a cached source whose picture is in the store."""
    held = torch.load(path, weights_only=False)
    return [
        Item(row, store, row.tweet.image_id, held["meanings"][i], [r[i] for r in held["readings"]], torch.tensor(row.labels) if gold else None)
        for i, row in enumerate(held["rows"])
        if row.tweet.image_id in store
    ]


def gather(args: argparse.Namespace, crf: Crf) -> tuple[list[Item], dict[str, list[Item]]]:
    """Training items of all sources, and held-out items by name."""
    train: list[Item] = []
    valid: dict[str, list[Item]] = {}
    for corpus in PRODUCT:
        store = PictureStore(args.bridged / f"{corpus}.npz")
        train += items_of(args.readings / f"{corpus}-train.pt", store, True)
        valid[corpus] = items_of(args.readings / f"{corpus}-valid.pt", store, True)
    for source, count in HELD_OUT.items():
        path = args.features / f"{source}.npz"
        if not path.exists():
            print(f"no {path.name}: going on without real pictures of {source}", flush=True)
            continue
        found = items_of(args.readings / f"{source}.pt", PictureStore(path), False)
        if source == "tweets":  # silver labels: what the text branch itself says
            for it in found:
                clean = it.readings[0].emissions[None, :, 0]
                it.labels = torch.tensor(crf.decode(clean, torch.ones(clean.shape[:2], dtype=torch.bool), torch.tensor([0]))[0])
        unseen = set(by_hash(list(found[0].store.rows))[:count])
        train += [it for it in found if it.image_id not in unseen]
        valid[source] = [it for it in found if it.image_id in unseen]
    return train, valid


def run(fusion: HamFusion, words: nn.Embedding, batch: FusionBatch) -> Fused:
    return fusion(batch.states, batch.word_mask.float(), words(batch.input_ids), batch.piece_mask, batch.picture)


def loss_of(fused: Fused, batch: FusionBatch, crf: Crf, price: float) -> tuple[Tensor, dict[str, float]]:
    row = torch.arange(len(batch.head))
    emissions = (batch.emissions + fused.correction)[row, :, batch.head]
    labelled = batch.weight > 0
    nll = fused.correction.new_zeros(())
    if labelled.any():
        every = crf.nll(emissions[labelled], batch.labels[labelled], batch.word_mask[labelled], batch.head[labelled])
        nll = (every * batch.weight[labelled]).sum() / len(batch.head)
    gate = F.binary_cross_entropy_with_logits(fused.relevance_logit, batch.belongs)
    meaning = (1 - (fused.meaning * batch.meaning).sum(1)).mean()
    size = (fused.correction.square() * batch.word_mask[:, :, None, None]).mean()
    parts = {"nll": nll.item(), "gate": gate.item(), "meaning": meaning.item()}
    return nll + gate + meaning + price * size, parts


def area_under_curve(positive: list[float], negative: list[float]) -> float:
    """Probability that an own picture's r is above another's (Mann-Whitney), ties counted half."""
    order = np.argsort(np.r_[positive, negative], kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    n, m = len(positive), len(negative)
    return round(float((rank[:n].sum() - n * (n + 1) / 2) / (n * m)), 4)


@torch.no_grad()
def evaluate(fusion: HamFusion, words: nn.Embedding, valid: dict[str, list[Item]], crf: Crf, c: HamConfig) -> dict[str, dict[str, float]]:
    """F1 (lenient, on the tweets that have a picture) without, with the own and with another's picture; AUC of r."""
    fusion.eval()
    out: dict[str, dict[str, float]] = {}
    for name, items in valid.items():
        random, pool = Random(9), {id(it.store): items for it in items}
        told: dict[str, list[list[str]]] = {"none": [], "own": [], "other": []}
        gold: list[list[str]] = []
        r: dict[str, list[float]] = {"own": [], "other": []}
        for some in length_batches(items, 64, None):
            gold += [list(it.row.tweet.labels) for it in some]
            for kind in ("own", "other"):
                pictures = [(it.store, it.image_id) for it in some] if kind == "own" else swapped(some, pool, random)
                batch = make_batch(some, pictures, [1.0] * len(some), c, SILVER, None)
                fused = run(fusion, words, batch)
                r[kind] += fused.relevance.tolist()
                row = torch.arange(len(some))
                for which, emissions in ((kind, batch.emissions + fused.correction), ("none", batch.emissions)):
                    if name in PRODUCT and (which != "none" or kind == "own"):
                        paths = crf.decode(emissions[row, :, batch.head], batch.word_mask, batch.head)
                        told[which] += [[LABELS[x] for x in p] for p in paths]
        out[name] = {"auc": area_under_curve(r["own"], r["other"]), "r_own": round(float(np.mean(r["own"])), 3), "r_other": round(float(np.mean(r["other"])), 3)}
        if name in PRODUCT:
            out[name] |= {which: score(gold, answers)["f1"] for which, answers in told.items()}
    fusion.train()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="checkpoints; several are averaged")
    parser.add_argument("--readings", type=Path, required=True, help="what mner.families.cache wrote for them")
    parser.add_argument("--bridged", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--price", type=float, default=0.01, help="of a squared correction")
    parser.add_argument("--stream-dropout", type=float, default=0.1)
    parser.add_argument("--limit", type=int, default=0, help="so many training tweets: for a dry run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    seed_dropout(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    text, branch, crf = load_product(*args.text)
    crf.requires_grad_(False)
    c = HamConfig()
    started = time.monotonic()
    train, valid = gather(args, crf)
    train = Random(args.seed).sample(train, args.limit) if args.limit else train
    print(f"{len(train)} training items, held out {({k: len(v) for k, v in valid.items()})}, {time.monotonic() - started:.0f}s", flush=True)
    pool: dict[int, list[Item]] = {}
    for it in train:
        pool.setdefault(id(it.store), []).append(it)

    fusion = HamFusion(text.state, text.encoder.width, text.heads, c)
    groups = [
        {"params": [p for p in fusion.parameters() if p.ndim > 1], "weight_decay": args.decay},
        {"params": [p for p in fusion.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.98), fused=True)
    steps = args.epochs * math.ceil(len(train) / args.batch)
    warm = steps // 15 + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, i / steps))) + 0.01)
    )
    words, best, history = branch.encoder.words.requires_grad_(False), -1.0, []
    for epoch in range(args.epochs):
        started, random, sums = time.monotonic(), Random(args.seed * 1000 + epoch), dict.fromkeys(("nll", "gate", "meaning"), 0.0)
        chosen = length_batches(train, args.batch, random)
        for some in chosen:
            belongs = [float(random.random() < 0.5) for _ in some]
            other = swapped(some, pool, random)
            pictures = [(it.store, it.image_id) if own else o for it, own, o in zip(some, belongs, other, strict=True)]
            batch = make_batch(some, pictures, belongs, c, SILVER, random)
            batch = FusionBatch(**{f: getattr(batch, f) for f in batch.__slots__} | {"picture": drop_streams(batch.picture, random, args.stream_dropout)})
            loss, parts = loss_of(run(fusion, words, batch), batch, crf, args.price)
            loss.backward()
            nn.utils.clip_grad_norm_(fusion.parameters(), 2.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            for k, v in parts.items():
                sums[k] += v / len(chosen)
        found: dict[str, Any] = evaluate(fusion, words, valid, crf, c)
        mean = sum(found[k]["own"] + 0.5 * found[k]["other"] + 5 * found[k]["auc"] for k in PRODUCT)
        history.append({"epoch": epoch, "seconds": time.monotonic() - started, "train": sums, "valid": found})
        (args.out / "history.json").write_text(json.dumps(history, indent=1))
        if mean > best:
            best = mean
            torch.save({"config": c.to_json(), "fusion": fusion.state_dict(), "epoch": epoch, "valid": found}, args.out / "best.pt")
        shown = " ".join(f"{k}={v:.3f}" for k, v in sums.items())
        print(f"epoch {epoch} {shown} {time.monotonic() - started:.0f}s {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
