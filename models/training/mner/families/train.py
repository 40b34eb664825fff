"""Train `ita`, `mcg` or `bga` from a text branch, all of it together, on right, missing and wrong pictures.

    python -m mner.families.train --family ita --text .work/student/best.pt --bridged .work/bridged --out .work/ita
    python -m mner.families.train --family mcg --text .work/student/best.pt --bridged .work/bridged --features .work/features \
        --vectors .work/vectors --out .work/mcg

Word embeddings stay frozen; `--text-rate 0` freezes the whole branch. After each epoch the validation splits are read with nothing, with
what belongs to each tweet, and with another tweet's; `best.pt` is the epoch with the best mean of the first two, less what a wrong picture costs.
`ham` has a trainer of its own (`train_ham.py`): its text branch stands still, so that it can be read once and for all.
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

from mner.families.bga import Bga
from mner.families.inputs import NEIGHBOUR_INPUTS, Example, Reader
from mner.families.ita import Ita
from mner.families.material import Names, Shelf, Shown, Speaker, real_shelf, shelves
from mner.families.mcg import Mcg
from mner.fitting import Fitting, add_machine_options, parameter_groups, prepare_machine
from mner.labels import LABELS
from mner.score import both
from mner.text.batch import Encoded, batches, tell
from mner.text.data import data_folder
from mner.text.encoder import minilm_folder
from mner.text.ensemble import Ensemble, answers
from mner.text.neighbours import FILE, read_neighbours, table_of
from mner.text.product import PRODUCT, load_product
from mner.text.words import Pieces

FAMILIES: dict[str, Any] = {"ita": Ita, "mcg": Mcg, "bga": Bga}
SILVER = 0.25
#: What is read beside a validation tweet: name → reading, and how the picture is put into words.
JUDGED = {"none": ("none", "caption"), "own": ("own", "caption"), "other": ("other", "caption"), "product": ("own", "product")}


def begin(family: str, text: list[Path], vectors: Path | None, settings: dict[str, Any]) -> nn.Module:
    """The family's model over a trained text branch, with its table of vectors where it has one."""
    kind = FAMILIES[family]
    config, branch, crf = load_product(*text)
    table = table_of(np.load(vectors / "vectors.npz")["vectors"]) if vectors and "neighbours" in kind.INPUTS else None
    if table is not None:
        settings = {**settings, "vectors": table.shape[0], "vector_width": table.shape[1]}
    c = kind.Config(**settings)
    model = kind(config, c)
    model.text.load_state_dict(branch.state_dict())
    model.crf.load_state_dict(crf.state_dict())
    if table is not None:
        model.vectors.weight.data.copy_(torch.from_numpy(table))
    model.text.encoder.words.weight.requires_grad_(False)
    return model


def rates(text: float, own: float, crf: float) -> Callable[[str], float]:
    """A family's rate of learning by a parameter's name."""
    return lambda name: text if name.startswith("text.") else crf if name.startswith("crf.") else own


def readings_of(names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """What a family that reads these inputs is judged by, of `JUDGED`."""
    if "token_type_ids" in names:
        return JUDGED
    return {k: JUDGED[k] for k in (("none", "own", "other") if "image" in names else ("none",))}


def examples_of(shelf: Shelf, reading: str, words: str, speaker: Speaker, count: int | None = None) -> list[Example]:
    random = Random(9)
    return [shelf.example(i, reading, lambda s: speaker.say(s, words), random) for i in range(len(shelf.rows))[:count]]


@torch.no_grad()
def judge(model: Any, valid: dict[str, Shelf], reader: Reader, speaker: Speaker, device: torch.device) -> tuple[float, dict[str, Any]]:
    model.eval()
    scores: dict[str, Any] = {}
    kinds = readings_of(model.INPUTS)
    for corpus, shelf in valid.items():
        gold = [r.tweet.labels for r in shelf.rows]
        for name, (reading, words) in kinds.items():
            examples = examples_of(shelf, reading, words, speaker)

            def paths_of(index: list[int], examples: list[Example] = examples) -> list[list[int]]:
                batch = reader([examples[i] for i in index]).to(device)
                emissions = batch.of_head(model(*(batch.inputs[n] for n in model.INPUTS))[0])
                return model.crf.decode(emissions, batch.word_mask, batch.head)

            scores.setdefault(corpus, {})[name] = both(gold, tell(shelf.rows, paths_of))
    f1 = {name: sum(s[name]["lenient"]["f1"] for s in scores.values()) / len(scores) for name in kinds}
    own, other = f1.get("own", f1["none"]), f1.get("other", f1["none"])
    return (f1["none"] + own) / 2 - max(0.0, f1["none"] - other), scores


def fill_silver(shelf: Shelf, text: list[Path], pieces: Pieces, device: torch.device) -> None:
    """The labels of raw tweets are what the text branch says."""
    told = answers(Ensemble(text).to(device), shelf.rows, pieces, device)
    place = {label: i for i, label in enumerate(LABELS)}
    shelf.rows = [Encoded(r.tweet, r.head, r.numbers, [place[x] for x in labels]) for r, labels in zip(shelf.rows, told, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="checkpoints of the text branch; several are averaged")
    parser.add_argument("--bridged", type=Path, help="pictures of the labelled tweets; without them captions alone are read")
    parser.add_argument("--features", type=Path, help="real pictures of tweets, which get silver labels")
    parser.add_argument("--vectors", type=Path, help="what mner.text.vectors wrote")
    parser.add_argument("--vision", type=Path, default=Path("../vision-int8"), help="for the names of objects and tags")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a number of the family's configuration")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--text-rate", type=float, default=3e-5)
    parser.add_argument("--own-rate", type=float, default=5e-4)
    parser.add_argument("--crf-rate", type=float, default=5e-3)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--average", type=float, default=0.995)
    parser.add_argument("--word-dropout", type=float, default=0.1)
    parser.add_argument("--missing", type=float, default=0.3, help="share of tweets read with nothing")
    parser.add_argument("--wrong", type=float, default=0.2, help="share of tweets read with another's picture")
    args = parser.parse_args()
    device = prepare_machine(args)

    pieces, data = Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    settings = {k: float(v) if "." in v else int(v) for k, v in (s.split("=") for s in args.set)}
    model = begin(args.family, args.text, args.vectors, settings).to(device)
    kind = FAMILIES[args.family]
    names = (*kind.INPUTS, *getattr(kind, "TRAINING_INPUTS", ()))
    neighbours = read_neighbours(args.vectors / FILE) if set(NEIGHBOUR_INPUTS) & set(names) else None
    reader, speaker = Reader(names, pieces, neighbours), Speaker(Names.of(args.vision))
    train = list(shelves(args.data, "train", pieces, args.bridged).values())
    valid = shelves(args.data, "valid", pieces, args.bridged)
    if args.features:
        train.append(real_shelf(data, args.features, pieces, set(), SILVER))
        fill_silver(train[-1], args.text, pieces, device)

    order = [(shelf, i) for shelf in train for i in range(len(shelf.rows))]
    rows = [shelf.rows[i] for shelf, i in order]
    steps = args.epochs * math.ceil(len(rows) / args.batch)
    groups = parameter_groups(model, rates(args.text_rate, args.own_rate, args.crf_rate), args.decay)
    fit = Fitting(model, groups, steps, args.out, average=args.average)
    fit.resume()
    print(f"{len(rows)} tweets, {steps} steps, from epoch {fit.epoch}", flush=True)
    header = {"family": args.family, "text_config": model.text.config.to_json(), "config": _config(model, kind, settings), "args": vars(args)}
    while fit.epoch < args.epochs:
        chance, random = np.random.default_rng([args.seed, fit.epoch]), Random(args.seed * 1000 + fit.epoch)

        def loss_of(index: list[int], chance: np.random.Generator = chance, random: Random = random) -> Tensor:
            examples = []
            for shelf, i in (order[i] for i in index):
                draw = random.random()
                reading = "none" if draw < args.missing else "other" if draw < args.missing + args.wrong else "own"
                examples.append(shelf.example(i, reading, _say(speaker, random), random))
            return model.loss(reader(examples, args.word_dropout, chance).to(device))

        chunks = batches(rows, args.batch, random)
        fit.run_epoch(args.seed, chunks, loss_of, lambda: judge(model, valid, reader, speaker, device), header, _shown)


def _shown(found: dict[str, Any]) -> str:
    return "valid " + " ".join(f"{c} " + " ".join(f"{k} {s['lenient']['f1']:.2f}" for k, s in found[c].items()) for c in PRODUCT)


def _say(speaker: Speaker, random: Random) -> Any:
    def say(shown: Shown) -> str:
        return speaker.any(shown, random)

    return say


def _config(model: Any, kind: Any, settings: dict[str, Any]) -> dict[str, Any]:
    held = getattr(model, "c", None)
    return (held or kind.Config(**settings)).to_json()


if __name__ == "__main__":
    main()
