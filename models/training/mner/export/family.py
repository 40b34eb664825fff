"""A checkpoint of `ita`, `mcg` or `bga`, or of the text branch alone, → a bundle.

    python -m mner.export.family --checkpoint .work/ita/best.pt --bridged .work/bridged --tokenizer ../ham-int8/tokenizer.json \
        --version 1.1.0 --out .work/ita-int8
    python -m mner.export.family --text .work/student/best.pt --tokenizer ../ham-int8/tokenizer.json --out .work/text-int8 --measure-only

Exports the float graph, quantises it with ranges fixed on training tweets, measures both on the validation splits, and writes manifest and model
card. (`ham` has an exporter of its own, `mner/export/ham.py`: it joins a branch and a fusion that were trained apart.)
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from mner.bundle import commit_of, write_manifest
from mner.export.card import card
from mner.export.check import alone_and_together, decode, fit_temperature, open_session, speed_of
from mner.export.feeds import Feed
from mner.export.graph import tidy, trace
from mner.export.ham import table
from mner.export.manifest import CREDIT, LICENCE, TRAINED_ON, heads_table, text_table, vision_table
from mner.export.quantise import quantise
from mner.export.selftest import write_selftest
from mner.families.inputs import NEIGHBOUR_INPUTS, PICTURE_INPUTS, Example, Reader
from mner.families.material import Names, Shelf, Speaker, shelves
from mner.families.plain import Plain
from mner.families.train import FAMILIES, examples_of, readings_of
from mner.labels import LABELS
from mner.score import both
from mner.text.batch import batches
from mner.text.branch import TextConfig
from mner.text.context import ContextSettings
from mner.text.neighbours import FILE as NEIGHBOUR_FILE
from mner.text.neighbours import read_neighbours
from mner.text.product import PRODUCT, load_product
from mner.text.words import Pieces

CALIBRATION = 256


def load_family(path: Path) -> tuple[str, nn.Module]:
    """Name and model, in evaluation mode, of a checkpoint of `mner.families.train`."""
    saved = torch.load(path, weights_only=False, map_location="cpu")
    kind = FAMILIES[saved["family"]]
    model = kind(TextConfig.from_json(saved["text_config"]), kind.Config(**saved["config"]))
    model.load_state_dict(saved["model"])
    return saved["family"], model.eval()


def load_plain(paths: list[Path]) -> nn.Module:
    config, branch, crf = load_product(*paths)
    model = Plain(config)
    model.text.load_state_dict(branch.state_dict())
    model.crf.load_state_dict(crf.state_dict())
    return model.eval()


def feed_of(reader: Reader, examples: list[Example], names: tuple[str, ...]) -> Feed:
    """What the worker sends: `grid` and `embedding` in half precision."""
    inputs = reader(examples).inputs
    return {n: inputs[n].numpy().astype(np.float16) if n in ("grid", "embedding") else inputs[n].numpy() for n in names}


def emissions_of(session: ort.InferenceSession, reader: Reader, examples: list[Example], names: tuple[str, ...]) -> list[NDArray[np.float32]]:
    out: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(examples)
    rows = [e.row for e in examples]
    for index in batches(rows, 32):
        (emissions,) = session.run(["emissions"], feed_of(reader, [examples[i] for i in index], names))
        for j, i in enumerate(index):
            out[i] = emissions[j, : len(rows[i].labels)]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", type=Path)
    which.add_argument("--text", type=Path, nargs="+", help="checkpoints of the text branch; several are averaged")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--bridged", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--vision", type=Path, default=Path("../vision-int8"), help="for the names of objects and tags, and the version")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="", help="changes with every release of the weights; not with --measure-only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipe", default="models/training/README.md")
    parser.add_argument("--measure-only", action="store_true", help="stop after the scores; no manifest, no card")
    args = parser.parse_args()
    torch.set_num_threads(1)

    if not (args.version or args.measure_only):
        parser.error("a bundle needs a --version, which changes with every release of its weights")
    family, model = load_family(args.checkpoint) if args.checkpoint else ("text", load_plain(args.text))
    names: tuple[str, ...] = model.INPUTS  # type: ignore[assignment]
    if set(NEIGHBOUR_INPUTS) & set(names) and args.vectors is None:
        parser.error(f"{family} reads neighbours of words: --vectors names the folder that mner.text.vectors wrote")
    neighbours = read_neighbours(args.vectors / NEIGHBOUR_FILE) if set(NEIGHBOUR_INPUTS) & set(names) else None
    reader, speaker = Reader(names, Pieces(args.tokenizer), neighbours), Speaker(Names.of(args.vision))
    args.out.mkdir(parents=True, exist_ok=True)
    exact, target = args.out.with_name(args.out.name + "-fp32.onnx"), args.out / "model.onnx"

    train, valid = (shelves(args.data, split, reader.pieces, args.bridged) for split in ("train", "valid"))
    calibration = []
    for shelf in train.values():
        some = Shelf(shelf.rows[::20][: CALIBRATION // 2], shelf.shown[::20][: CALIBRATION // 2])
        calibration += examples_of(some, "own", "both", speaker)
    example = {n: torch.from_numpy(v) for n, v in feed_of(reader, calibration[:3], names).items()}
    heads = model.text.config.heads  # type: ignore[union-attr]
    trace(model, example, {"emissions": ("batch", "words", heads, len(LABELS))}, exact)
    count = quantise(exact, target, [feed_of(reader, [e], names) for e in calibration])
    tidy(target)
    print(f"{count} matrices in int8, {target.stat().st_size / 1e6:.1f} MB", flush=True)

    sessions = {"fp32": open_session(exact), "int8": open_session(target)}
    found: dict[str, Any] = {corpus: {} for corpus in PRODUCT}
    temperatures, worst = [], 0.0
    for head, (corpus, shelf) in enumerate(valid.items()):
        gold = [r.tweet.labels for r in shelf.rows]
        for precision, session in sessions.items():
            for kind, (reading, words) in readings_of(names).items():
                emissions = emissions_of(session, reader, examples_of(shelf, reading, words, speaker), names)
                result = both(gold, decode(emissions, shelf.rows, model.crf))  # type: ignore[arg-type]
                found[corpus][f"{precision}.{kind}"] = result
                print(corpus, precision, kind, {k: v["f1"] for k, v in result.items()}, flush=True)
                if (precision, kind) == ("int8", "none"):
                    temperatures.append(fit_temperature(emissions, shelf.rows, model.crf, head))  # type: ignore[arg-type]
        some = examples_of(shelf, "own", "both", speaker, 64)
        worst = max(worst, alone_and_together(sessions["int8"], some, lambda part: feed_of(reader, part, names)))
    print(f"alone against padded batch {worst:.2g}, temperatures {temperatures}", flush=True)
    args.out.with_name(args.out.name + "-scores.json").write_text(json.dumps(found, indent=1))
    if args.measure_only:
        return

    kinds = list(readings_of(names))
    scores = {c: {k: {mode: table(found[c][f"int8.{k}"][mode]) for mode in ("lenient", "strict")} for k in kinds} for c in PRODUCT}
    drops = [found[c][f"fp32.{k}"]["lenient"]["f1"] - found[c][f"int8.{k}"]["lenient"]["f1"] for c in PRODUCT for k in kinds]
    rate = speed_of(sessions["int8"], feed_of(reader, examples_of(valid[PRODUCT[0]], "own", "both", speaker, 32), names), 32)
    facts = [
        f"int8 against float32: F1 {-max(drops):+.2f} to {-min(drops):+.2f}.",
        f"A tweet alone and in a padded batch of 32: largest difference of an emission {worst:.1g}.",
        f"32 tweets of the validation split in one batch, one thread: {rate:.0f} tweets/s.",
    ]
    (args.out / "MODEL_CARD.md").write_text(card(args.out.name, scores, facts, family), encoding="utf-8")
    shutil.copyfile(args.tokenizer, args.out / "tokenizer.json")
    if neighbours is not None:
        shutil.copyfile(args.vectors / NEIGHBOUR_FILE, args.out / NEIGHBOUR_FILE)
    context = ContextSettings() if "token_type_ids" in names else None
    write_selftest(args.out, "ner", "int8", context)
    fields: dict[str, Any] = {"name": args.out.name, "family": family, "kind": "ner", "version": args.version, "precision": "int8"}
    if set(PICTURE_INPUTS) & set(names) or context is not None:
        fields["vision"] = vision_table(args.vision)
    if context is not None:
        fields["context"] = context.to_json()
    fields |= {
        "text": text_table(),
        "labels": list(LABELS),
        "heads": heads_table(model.crf, tuple(temperatures)),  # type: ignore[arg-type]
        "training": {"data": list(TRAINED_ON), "commit": commit_of(Path(__file__).parent), "seed": args.seed, "recipe": args.recipe},
        "scores": {"note": "validation splits; none: with nothing beside the tweet, own: with what belongs to it, other: with another's", **scores},
        "licence": LICENCE,
        "credit": CREDIT,
    }
    write_manifest(args.out, fields)


if __name__ == "__main__":
    main()
