"""One student from an ensemble of text branches (structural distillation, Wang et al., ACL 2020).

    python -m mner.text.distil soften --teachers .work/shipped.pt .work/t2/final.pt --out .work/soft
    python -m mner.text.distil train --soft .work/soft --init .work/shipped.pt --out .work/student --epochs-of-all 1 --epochs 3

`soften` reads every text once: the labelled tweets (with and without the link at their end), the tweets of `tweet_images`, and the other corpora's
texts, whose labels it does not look at. What it stores of each is all that a student needs to learn the ensemble's whole distribution over
label sequences: the probability of each label at each word, and how often each label is expected after each other. It goes on where it was
cut off, source by source. `train` is an ordinary training whose loss is

    gold * NLL + (1 - gold) * T^2 * cross-entropy(teacher at temperature T, student at temperature T)

on the product's own tweets under their own convention, and the second part alone, under both conventions, on all other texts.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from mner.crf import posterior
from mner.fitting import Fitting, add_machine_options, autocast, parameter_groups, prepare_machine
from mner.text.batch import Batch, Encoded, batches, collate, encode, of_head
from mner.text.branch import TextConfig
from mner.text.data import data_folder, read_split, without_link
from mner.text.encoder import minilm_folder
from mner.text.ensemble import Ensemble
from mner.text.free import free_rows, read_texts
from mner.text.product import PRODUCT, cut_to_product
from mner.text.train import Tagger, judge, rates, shown
from mner.text.words import Pieces

TEXTS = ("broad_twitter", "wnut17", "tweebank_ner")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One text and what the ensemble makes of it under each convention."""

    row: Encoded
    labels: Tensor  # [T,heads,labels] probabilities
    pairs: Tensor  # [heads,labels,labels] expected number of each transition
    gold: bool  # whether the row's own labels count too, under its own head


def sources(data: Path, pieces: Pieces) -> dict[str, tuple[list[Encoded], bool]]:
    """Every text: name → rows, and whether their labels follow the product's conventions."""
    out: dict[str, tuple[list[Encoded], bool]] = {}
    for head, corpus in enumerate(PRODUCT):
        tweets = read_split(data, corpus, "train")
        out[corpus] = encode(tweets, head, pieces), True
        if cut := [t for t in map(without_link, tweets) if t]:
            out[f"{corpus}-cut"] = encode(cut, head, pieces), True
    tweets = {key: texts[0] for key, texts in read_texts(data / "tweet_images").items()}
    out["tweets"] = free_rows(tweets, 0, pieces, "tweets"), False
    for corpus in TEXTS:
        out[corpus] = encode(read_split(data, corpus, "train"), 0, pieces), False
    return out


def soften(model: Ensemble, rows: list[Encoded], gold: bool, pieces: Pieces, temperature: float, device: torch.device) -> list[Lesson]:
    out: list[Lesson | None] = [None] * len(rows)
    crf = model.crf
    for index in batches(rows, 64):
        batch = collate([rows[i] for i in index], pieces).to(device)
        with autocast(device):
            emissions = model.emissions(batch) / temperature
        found = []
        for head in range(emissions.shape[2]):
            scores = (x[head].expand(len(index), *x.shape[1:]) / temperature for x in (crf.transitions, crf.start, crf.end))
            found.append(posterior(emissions[:, :, head], batch.word_mask, *scores))
        labels = torch.stack([x for x, _ in found], 2).half().cpu()
        pairs = torch.stack([x for _, x in found], 1).half().cpu()
        for j, i in enumerate(index):
            out[i] = Lesson(rows[i], labels[j, : len(rows[i].labels)].clone(), pairs[j].clone(), gold)
    return [x for x in out if x is not None]


def distillation_loss(model: Tagger, batch: Batch, lessons: list[Lesson], gold: float, temperature: float) -> Tensor:
    every = model.branch(*batch.text()).emissions.float()  # [B,T,heads,labels]
    device, size, heads = every.device, len(lessons), every.shape[2]
    # As float32 from the start: autocast on a CPU knows no float16.
    taught = torch.nn.utils.rnn.pad_sequence([x.labels.float() for x in lessons], batch_first=True).to(device)
    pairs = torch.stack([x.pairs.float() for x in lessons]).to(device)
    known = torch.tensor([x.gold for x in lessons], device=device)

    # Rows of a labelled corpus learn under their own convention alone, the others under every convention.
    weight = torch.full((size, heads), 1 / heads, device=device)
    weight[known] = torch.nn.functional.one_hot(batch.head[known], heads).float()
    loss = torch.zeros(size, device=device)
    for head in range(heads):
        of = torch.full((size,), head, device=device)
        loss = loss + weight[:, head] * model.crf.taught(every[:, :, head], batch.word_mask, of, taught[:, :, head], pairs[:, head], temperature)
    loss = loss * temperature**2
    nll = model.crf.nll(of_head(every, batch.head), batch.labels, batch.word_mask, batch.head)
    return torch.where(known, gold * nll + (1 - gold) * loss, loss).mean()


def read_lessons(folder: Path) -> tuple[dict[str, list[Lesson]], float]:
    found: dict[str, list[Lesson]] = {}
    temperature = 1.0
    for path in sorted(folder.glob("*.pt")):
        held = torch.load(path, weights_only=False)
        found[path.stem], temperature = held["lessons"], held["temperature"]
    return found, temperature


def run_soften(args: argparse.Namespace) -> None:
    device = prepare_machine(args)
    args.out.mkdir(parents=True, exist_ok=True)
    pieces = Pieces(minilm_folder() / "tokenizer.json")
    model = Ensemble(args.teachers).to(device)
    for name, (rows, gold) in sources(data_folder(args.data), pieces).items():
        path = args.out / f"{name}.pt"
        if path.exists() or (args.only and name not in args.only.split(",")):
            continue
        lessons = soften(model, rows, gold, pieces, args.temperature, device)
        held = {"lessons": lessons, "temperature": args.temperature, "teachers": [str(t) for t in args.teachers]}
        torch.save(held, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)
        print(name, len(lessons), flush=True)


def choose(lessons: dict[str, list[Lesson]], everything: bool, random: Random) -> list[Lesson]:
    """The texts of one epoch: each labelled tweet once, with its last link or without, and all others where wanted."""
    chosen: list[Lesson] = []
    for corpus in PRODUCT:
        cut = {x.row.tweet.image_id: x for x in lessons.get(f"{corpus}-cut", [])}
        for lesson in lessons[corpus]:
            other = cut.get(lesson.row.tweet.image_id)
            chosen.append(lesson if other is None or random.random() < 0.5 else other)
    if everything:
        chosen += [x for name, some in lessons.items() if name.removesuffix("-cut") not in PRODUCT for x in some]
    return chosen


def run_train(args: argparse.Namespace) -> None:
    device = prepare_machine(args)
    pieces, folder = Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    lessons, temperature = read_lessons(args.soft)
    valid = {c: encode(read_split(folder, c, "valid"), h, pieces) for h, c in enumerate(PRODUCT)}
    if args.init:
        saved = torch.load(args.init, weights_only=False, map_location="cpu")
        config, state = cut_to_product(TextConfig.from_json(saved["config"]), saved["model"])
        model = Tagger(config)
        model.load_state_dict(state)
    else:
        config = TextConfig()
        model = Tagger(config)
        model.branch.encoder.load_minilm(minilm_folder())
    model.branch.encoder.words.weight.requires_grad_(False)
    model.to(device)
    epochs = [True] * args.epochs_of_all + [False] * args.epochs
    steps = sum(math.ceil(len(choose(lessons, e, Random(0))) / args.batch) for e in epochs)
    groups = parameter_groups(model, rates(args.encoder_rate, args.head_rate, args.crf_rate), args.decay)
    fit = Fitting(model, groups, steps, args.out, average=args.average)
    fit.resume()
    print(f"{sum(map(len, lessons.values()))} texts at temperature {temperature}, {steps} steps, from epoch {fit.epoch}", flush=True)
    header = {"config": config.to_json(), "args": vars(args)}
    while fit.epoch < len(epochs):
        random, choice = np.random.default_rng([args.seed, fit.epoch]), Random(args.seed * 1000 + fit.epoch)
        chosen = choose(lessons, epochs[fit.epoch], choice)

        def loss_of(index: list[int], chosen: list[Lesson] = chosen, random: np.random.Generator = random) -> Tensor:
            some = [chosen[i] for i in index]
            batch = collate([x.row for x in some], pieces, args.word_dropout, random).to(device)
            return distillation_loss(model, batch, some, args.gold, temperature)

        chunks = batches([x.row for x in chosen], args.batch, choice)
        fit.run_epoch(args.seed, chunks, loss_of, lambda: judge(model, valid, pieces, device), header, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("soften")
    add_machine_options(first)
    first.add_argument("--teachers", type=Path, nargs="+", required=True)
    first.add_argument("--temperature", type=float, default=2.0)
    first.add_argument("--only", default="", help="these sources alone, comma-separated: two processes can share the work")
    first.add_argument("--out", type=Path, required=True)
    second = commands.add_parser("train")
    add_machine_options(second)
    second.add_argument("--soft", type=Path, required=True)
    second.add_argument("--init", type=Path, help="a checkpoint to start from, instead of MiniLM")
    second.add_argument("--out", type=Path, required=True)
    second.add_argument("--epochs-of-all", type=int, default=1, help="epochs over all texts, first")
    second.add_argument("--epochs", type=int, default=3, help="epochs over the product's own tweets, after them")
    second.add_argument("--gold", type=float, default=0.3, help="share of the labels themselves in the loss of a labelled tweet")
    second.add_argument("--batch", type=int, default=32)
    second.add_argument("--encoder-rate", type=float, default=1e-4)
    second.add_argument("--head-rate", type=float, default=1e-3)
    second.add_argument("--crf-rate", type=float, default=1e-2)
    second.add_argument("--decay", type=float, default=0.01)
    second.add_argument("--average", type=float, default=0.995)
    second.add_argument("--word-dropout", type=float, default=0.05)
    args = parser.parse_args()
    run_soften(args) if args.command == "soften" else run_train(args)


if __name__ == "__main__":
    main()
