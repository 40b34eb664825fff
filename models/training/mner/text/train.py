"""Train the text branch on all corpora at once, one output layer and one CRF per corpus, and keep the best on the validation splits.

    python -m mner.text.train --out .work/text --epochs 5 [--warm-up-corpora broad_twitter,wnut17,tweebank_ner] [--data FOLDER]

Twitter-2015 trains head 0 (`ignore`), Twitter-2017 head 1 (`entity`); further corpora get heads that are cut off on export.
Word embeddings stay frozen. A run that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mner.crf import Crf
from mner.fitting import Fitting, add_machine_options, parameter_groups, prepare_machine
from mner.score import both
from mner.text.batch import Batch, Encoded, batches, collate, encode, of_head, tell
from mner.text.branch import TextBranch, TextConfig
from mner.text.data import CORPORA, Tweet, data_folder, read_split, without_link
from mner.text.encoder import minilm_folder
from mner.text.product import PRODUCT
from mner.text.words import Pieces

HEADS = list(CORPORA)  # the order of the training heads; the product keeps the first two


class Tagger(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.branch = TextBranch(config)
        self.crf = Crf(config.heads)

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions of each row's own head, [B,T,labels]."""
        return of_head(self.branch(*batch.text()).emissions, batch.head)

    def loss(self, batch: Batch) -> Tensor:
        return self.crf.nll(self.emissions(batch), batch.labels, batch.word_mask, batch.head).mean()


@torch.no_grad()
def predict(model: Tagger, rows: list[Encoded], pieces: Pieces, device: torch.device) -> list[list[str]]:
    model.eval()

    def paths_of(index: list[int]) -> list[list[int]]:
        batch = collate([rows[i] for i in index], pieces).to(device)
        return model.crf.decode(model.emissions(batch), batch.word_mask, batch.head)

    return tell(rows, paths_of)


def judge(model: Tagger, sets: dict[str, list[Encoded]], pieces: Pieces, device: torch.device) -> tuple[float, dict[str, Any]]:
    """Mean lenient F1 over the sets, and all scores."""
    scores = {name: both([r.tweet.labels for r in rows], predict(model, rows, pieces, device)) for name, rows in sets.items()}
    return sum(s["lenient"]["f1"] for s in scores.values()) / len(scores), scores


def rates(encoder: float, head: float, crf: float) -> Callable[[str], float]:
    """A tagger's rate of learning by a parameter's name."""
    return lambda name: crf if name.startswith("crf.") else encoder if name.startswith("branch.encoder.") else head


def shown(found: dict[str, Any]) -> str:
    """What `judge` found, in a few words."""
    return "valid " + " ".join(f"{c} {scores['lenient']['f1']:.2f}" for c, scores in found.items())


def variants(tweets: list[Tweet], head: int, pieces: Pieces) -> list[tuple[Encoded, ...]]:
    """Each tweet as it stands and, where it ends in a link, without it: an epoch reads one of them."""
    out = []
    for tweet in tweets:
        cut = without_link(tweet)
        out.append(tuple(encode([tweet] if cut is None else [tweet, cut], head, pieces)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="a checkpoint to start from, instead of MiniLM")
    parser.add_argument("--encoder", type=Path, help="an encoder that mner.text.adapt made, instead of MiniLM's")
    parser.add_argument("--corpora", default=",".join(PRODUCT), help="what to train for and to be judged on; others serve as a yardstick alone")
    parser.add_argument("--epochs", type=int, default=5, help="epochs over these corpora")
    parser.add_argument("--warm-up-corpora", default="", help="corpora for one epoch ahead of them, together with them")
    parser.add_argument("--cut-links", action="store_true", help="read every second tweet without the link at its end")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--encoder-rate", type=float, default=1e-4)
    parser.add_argument("--head-rate", type=float, default=1e-3)
    parser.add_argument("--crf-rate", type=float, default=2e-2)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--average", type=float, default=0.995)
    parser.add_argument("--word-dropout", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps: for timing")
    args = parser.parse_args()
    device = prepare_machine(args)

    folder, minilm = data_folder(args.data), minilm_folder()
    pieces = Pieces(minilm / "tokenizer.json")
    wanted = args.corpora.split(",")
    extra = [c for c in args.warm_up_corpora.split(",") if c]
    train = {c: variants(read_split(folder, c, "train"), HEADS.index(c), pieces) for c in [*wanted, *extra]}
    valid = {c: encode(read_split(folder, c, "valid"), HEADS.index(c), pieces) for c in wanted}
    own = [r for c in wanted for r in train[c]]
    everything = own + [r for c in extra for r in train[c]]
    epochs = ([everything] if extra else []) + [own] * args.epochs

    config = TextConfig(heads=len(PRODUCT) if {*wanted, *extra} <= set(PRODUCT) else len(HEADS))
    model = Tagger(config)
    if args.init:
        model.load_state_dict(torch.load(args.init, weights_only=False, map_location="cpu")["model"])
    else:
        model.branch.encoder.load_minilm(minilm)
    if args.encoder:
        adapted = torch.load(args.encoder, weights_only=False, map_location="cpu")["model"]
        model.branch.encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in adapted.items() if k.startswith("encoder.")})
    model.branch.encoder.words.weight.requires_grad_(False)
    model.to(device)
    groups = parameter_groups(model, rates(args.encoder_rate, args.head_rate, args.crf_rate), args.decay)
    steps = sum(math.ceil(len(e) / args.batch) for e in epochs)
    fit = Fitting(model, groups, steps, args.out, average=args.average)
    fit.resume()
    print(f"{len(own)} tweets of {args.corpora}, {len(everything)} in all, {steps} steps, from epoch {fit.epoch}", flush=True)

    header = {"config": config.to_json(), "args": vars(args)}
    while fit.epoch < len(epochs):
        random, choice = np.random.default_rng([args.seed, fit.epoch]), Random(args.seed * 1000 + fit.epoch)
        rows = [choice.choice(v) if args.cut_links else v[0] for v in epochs[fit.epoch]]

        def loss_of(index: list[int], rows: list[Encoded] = rows, random: np.random.Generator = random) -> Tensor:
            return model.loss(collate([rows[i] for i in index], pieces, args.word_dropout, random).to(device))

        chunks = batches(rows, args.batch, choice)
        if not fit.run_epoch(args.seed, chunks, loss_of, lambda: judge(model, valid, pieces, device), header, shown, args.steps):
            return


if __name__ == "__main__":
    main()
