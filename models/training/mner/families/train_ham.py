r"""Train the HamLearning-style fusion over a frozen text branch.

    python -m mner.families.train_ham --text .work/text/best.pt --readings .work/readings --bridged .work/bridged \
        --features .work/features --out .work/ham

Each tweet is seen with its own picture or, as often, with another's. The loss: CRF likelihood of the corrected emissions either way,
cross-entropy of r (own 1, another's 0), distance of the sentence's meaning to MiniLM's sentence embedding, and a price on
corrections. A tweet without a picture needs no training: its emissions are the text branch's by construction.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.crf import Crf
from mner.families.cache import by_hash
from mner.families.fusion_data import FusionBatch, Item, drop_streams, length_batches, make_batch, swapped
from mner.families.ham import Fused, HamConfig, HamFusion, Picture
from mner.families.pictures import PictureStore
from mner.fitting import Fitting, add_machine_options, autocast, prepare_machine
from mner.labels import LABELS
from mner.score import score
from mner.text.product import PRODUCT, load_product
from mner.vision.metrics import area_under_curve

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
    row = torch.arange(len(batch.head), device=batch.head.device)
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


def calibration_gap(positive: list[float], negative: list[float]) -> float:
    """Expected calibration error of r over ten bins: what it says beside the share of true pairs, one false pair to each true one."""
    told, true = np.r_[positive, negative], np.r_[np.ones(len(positive)), np.zeros(len(negative))]
    of = np.minimum((told * 10).astype(int), 9)
    gaps = [abs(told[of == k].sum() - true[of == k].sum()) for k in range(10)]
    return round(float(sum(gaps) / len(told)), 4)


def judge(fusion: HamFusion, words: nn.Embedding, valid: dict[str, list[Item]], crf: Crf, c: HamConfig) -> tuple[float, dict[str, Any]]:
    """What an epoch is chosen by: F1 with the right picture first, then with a wrong one, then the gate."""
    found = evaluate(fusion, words, valid, crf, c)
    return sum(found[k]["own"] + 0.5 * found[k]["other"] + 5 * found[k]["auc"] for k in PRODUCT), found


@torch.no_grad()
def evaluate(
    fusion: HamFusion,
    words: nn.Embedding,
    valid: dict[str, list[Item]],
    crf: Crf,
    c: HamConfig,
    change: Callable[[Picture], Picture] = lambda p: p,
) -> dict[str, dict[str, float]]:
    """F1 (lenient, on the tweets that have a picture) without, with the own and with another's picture; AUC of r. `change` is done to each picture."""
    fusion.eval()
    device = words.weight.device
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
                batch = replace(batch, picture=change(batch.picture)).to(device)
                fused = run(fusion, words, batch)
                r[kind] += fused.relevance.tolist()
                row = torch.arange(len(some), device=device)
                for which, emissions in ((kind, batch.emissions + fused.correction), ("none", batch.emissions)):
                    if name in PRODUCT and (which != "none" or kind == "own"):
                        paths = crf.decode(emissions[row, :, batch.head], batch.word_mask, batch.head)
                        told[which] += [[LABELS[x] for x in p] for p in paths]
        out[name] = {"auc": round(area_under_curve(torch.tensor(r["own"]), torch.tensor(r["other"])), 4), "ece": calibration_gap(r["own"], r["other"])}
        out[name] |= {f"r_{kind}": round(float(np.mean(values)), 3) for kind, values in r.items()}
        if name in PRODUCT:
            out[name] |= {which: score(gold, answers)["f1"] for which, answers in told.items()}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="checkpoints; several are averaged")
    parser.add_argument("--readings", type=Path, required=True, help="what mner.families.cache wrote for them")
    parser.add_argument("--bridged", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--price", type=float, default=3.0, help="of a squared correction")
    parser.add_argument("--average", type=float, default=0.995, help="of the weights over steps; 0 keeps the last ones")
    parser.add_argument("--stream-dropout", type=float, default=0.1)
    parser.add_argument("--limit", type=int, default=0, help="so many training tweets: for a dry run")
    parser.add_argument("--iterations", type=int, default=HamConfig().iterations, help="of the refinement")
    parser.add_argument("--no-gate", action="store_true", help="every picture counts in full: for an ablation")
    args = parser.parse_args()
    device = prepare_machine(args)

    text, branch, crf = load_product(*args.text)
    crf.requires_grad_(False)
    c = HamConfig(iterations=args.iterations, gate=not args.no_gate)
    started = time.monotonic()
    train, valid = gather(args, crf)
    train = Random(args.seed).sample(train, args.limit) if args.limit else train
    print(f"{len(train)} training items, held out {({k: len(v) for k, v in valid.items()})}, {time.monotonic() - started:.0f}s", flush=True)
    pool: dict[int, list[Item]] = {}
    for it in train:
        pool.setdefault(id(it.store), []).append(it)

    fusion = HamFusion(text.state, text.encoder.width, text.heads, c).to(device)
    crf.to(device)
    groups = [
        {"params": [p for p in fusion.parameters() if p.ndim > 1], "lr": args.rate, "weight_decay": args.decay},
        {"params": [p for p in fusion.parameters() if p.ndim <= 1], "lr": args.rate, "weight_decay": 0.0},
    ]
    steps = args.epochs * math.ceil(len(train) / args.batch)
    fit = Fitting(fusion, groups, steps, args.out, warm_up=1 / 15, average=args.average, clip=2.0, cosine=True)
    fit.resume()
    words = branch.encoder.words.requires_grad_(False).to(device)
    while fit.epoch < args.epochs:
        started, random, sums = time.monotonic(), Random(args.seed * 1000 + fit.epoch), dict.fromkeys(("nll", "gate", "meaning"), 0.0)
        fit.begin_epoch(args.seed)
        chosen = length_batches(train, args.batch, random)
        for some in chosen:
            belongs = [float(random.random() < 0.5) for _ in some]
            other = swapped(some, pool, random)
            pictures = [(it.store, it.image_id) if own else o for it, own, o in zip(some, belongs, other, strict=True)]
            batch = make_batch(some, pictures, belongs, c, SILVER, random)
            batch = replace(batch, picture=drop_streams(batch.picture, random, args.stream_dropout)).to(device)
            with autocast(device):
                loss, parts = loss_of(run(fusion, words, batch), batch, crf, args.price)
            fit.step(loss)
            for k, v in parts.items():
                sums[k] += v / len(chosen)
        number, seconds = fit.epoch, time.monotonic() - started
        found = fit.end_epoch(lambda: judge(fusion, words, valid, crf, c), {"config": c.to_json(), "args": vars(args)})
        shown = " ".join(f"{k}={v:.3f}" for k, v in sums.items())
        print(f"epoch {number} {shown} {seconds:.0f}s {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
