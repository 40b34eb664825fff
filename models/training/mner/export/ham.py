"""Checkpoints → the bundle `ham-int8`, or `ham-fp16`.

    python -m mner.export.ham --text .work/text/best.pt --fusion .work/ham/best.pt --bridged .work/bridged --version 1.3.0 --out ../ham-int8

Exports the float graph, makes it small, measures both on the validation splits, and writes the manifest and the model card.
"""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from mner.attention import spelled_out
from mner.bundle import commit_of, write_manifest
from mner.export.card import card
from mner.export.check import alone_and_together, decode, emissions_of, fit_temperature, instructions, open_session, pictures_for, speed
from mner.export.feeds import picture_feed, text_feed
from mner.export.graph import INPUTS, example_inputs, export_graph, tidy
from mner.export.half import halve
from mner.export.manifest import CREDIT, LICENCE, TRAINED_ON, heads_table, text_table, vision_table
from mner.export.quantise import quantise
from mner.export.selftest import write_selftest
from mner.families.ham import Ham, HamConfig
from mner.families.pictures import PictureStore
from mner.labels import LABELS
from mner.score import both
from mner.text.batch import encode
from mner.text.data import data_folder, read_captions, read_split
from mner.text.product import PRODUCT, load_product
from mner.text.words import Pieces

CALIBRATION = 256


def load_ham(text: list[Path], fusion: Path) -> tuple[Ham, HamConfig, Any]:
    """The whole model out of a text checkpoint (or several, averaged) and a fusion checkpoint, and its CRF."""
    config, branch, crf = load_product(*text)
    saved = torch.load(fusion, weights_only=False, map_location="cpu")
    c = HamConfig(**saved["config"])
    model = Ham(config, c)
    model.text.load_state_dict(branch.state_dict())
    model.fusion.load_state_dict(saved["model"])
    return model.eval(), c, crf


def table(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores in the manifest's short form: F1 with support, whole and by type."""
    kinds = {k: {"f1": v["f1"], "support": v["support"]} for k, v in scores["types"].items()}
    return {k: scores[k] for k in ("f1", "precision", "recall", "support")} | {"types": kinds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--fusion", type=Path, required=True)
    parser.add_argument("--bridged", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", required=True, help="changes with every release of the weights")
    parser.add_argument("--vision", type=Path, default=Path("../vision-int8"), help="the vision bundle whose features it learned with")
    parser.add_argument("--tokenizer", type=Path, help="default: the one already in the bundle")
    parser.add_argument("--precision", choices=("int8", "fp16"), default="int8")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipe", default="")
    parser.add_argument("--note", default="", help="a sentence on the scores against float32, for the model card")
    parser.add_argument("--auc", default="", help="what the fusion's training found, for the model card")
    args = parser.parse_args()
    torch.set_num_threads(1)
    small = args.precision

    model, c, crf = load_ham(args.text, args.fusion)
    pieces, data = Pieces(args.tokenizer or args.out / "tokenizer.json"), data_folder(args.data)
    work = args.fusion.parent / args.out.name  # built beside the checkpoint, moved when it is whole
    work.mkdir(exist_ok=True)
    vocabulary = model.text.config.encoder.vocabulary
    exact = args.fusion.parent / f"{args.out.name}-fp32.onnx"
    with spelled_out() if small == "fp16" else nullcontext():
        export_graph(model, c, vocabulary, exact)

    stores = {name: PictureStore(args.bridged / f"{name}.npz") for name in PRODUCT}
    captions = {name: read_captions(data, name) for name in PRODUCT}
    for name, store in stores.items():  # the placeholder's caption is no picture
        store.rows = {k: v for k, v in store.rows.items() if captions[name].get(k)}
    target = work / "model.onnx"
    if small == "fp16":
        halve(exact, target)
    else:
        feeds = []
        for head, name in enumerate(PRODUCT):
            rows = encode(read_split(data, name, "train")[: 20 * CALIBRATION : 20], head, pieces)[: CALIBRATION // 2]
            pictures = pictures_for(rows, stores[name], "own")
            feeds += [text_feed([r], pieces) | picture_feed([p], c) for r, p in zip(rows, pictures, strict=True)]
        print(f"{quantise(exact, target, feeds)} matrices in int8", flush=True)
    tidy(target)
    print(f"{target.stat().st_size / 1e6:.1f} MB", flush=True)

    sessions = {"fp32": open_session(exact), small: open_session(target)}
    found: dict[str, Any] = {}
    temperatures = []
    for head, name in enumerate(PRODUCT):
        rows = encode(read_split(data, name, "valid"), head, pieces)
        gold = [r.tweet.labels for r in rows]
        found[name] = {"tweets": len(rows)}
        for precision, session in sessions.items():
            for kind in ("none", "own", "other") if precision == small else ("none", "own"):
                emissions, relevance = emissions_of(session, rows, pieces, c, pictures_for(rows, stores[name], kind))
                result = both(gold, decode(emissions, rows, crf))
                print(name, precision, kind, {k: v["f1"] for k, v in result.items()}, f"r {relevance[relevance > 0].mean() if (relevance > 0).any() else 0:.3f}", flush=True)
                found[name][f"{precision}.{kind}"] = result
                if precision == small and kind == "none":
                    temperatures.append(fit_temperature(emissions, rows, crf, head))
        pairs = list(zip(rows, pictures_for(rows, stores[name], "own"), strict=True))[:64]
        worst = alone_and_together(sessions[small], pairs, lambda some: text_feed([r for r, _ in some], pieces) | picture_feed([p for _, p in some], c))
        found[name]["neighbours"] = worst
        print(name, "alone against padded batch, largest difference", worst, "temperature", temperatures[-1], flush=True)

    feed = {n: v.numpy() for n, v in zip(INPUTS, example_inputs(c, vocabulary, 32, 20, 32), strict=True)}
    for precision, path in (("fp32", exact), (small, target)):
        for threads in (1, 2):
            rate = speed(open_session(path, threads), feed)
            found[f"tweets per second, {precision}, {threads} thread(s), 32 x 32 pieces"] = round(rate, 1)
            print(precision, threads, "threads", round(rate, 1), "tweets/s", flush=True)
    (args.fusion.parent / "export.json").write_text(json.dumps(found, indent=1))

    scores = {
        name: {
            kind: {mode: table(found[name][f"{small}.{kind}"][mode]) for mode in ("lenient", "strict")} for kind in ("none", "own", "other")
        }
        for name in PRODUCT
    }
    note = "validation splits; none: read without picture, own: with its own, other: with another tweet's; pictures bridged from machine captions"
    rate = {k: found[f"tweets per second, {small}, {k} thread(s), 32 x 32 pieces"] for k in (1, 2)}
    exact_rate = {k: found[f"tweets per second, fp32, {k} thread(s), 32 x 32 pieces"] for k in (1, 2)}
    drops = [found[name][f"fp32.{kind}"]["lenient"]["f1"] - found[name][f"{small}.{kind}"]["lenient"]["f1"] for name in PRODUCT for kind in ("none", "own")]
    speeds = (
        f"Batches of 32 tweets of 32 pieces with pictures, {instructions()}: {rate[1]:.0f} tweets/s on one thread, {rate[2]:.0f} on two "
        f"(float32: {exact_rate[1]:.0f}, {exact_rate[2]:.0f}); the machine was busy with other work."
    )
    facts = [
        f"{small} against float32: F1 {-max(drops):+.2f} to {-min(drops):+.2f}.{args.note}",
        f"A tweet alone and in a padded batch of 32: largest difference of an emission {max(found[n]['neighbours'] for n in PRODUCT):.1g}.",
        *([speeds] if small == "int8" else []),
        *([f"Relevance, own against another picture, AUC: {args.auc}."] if args.auc else []),
    ]
    (work / "MODEL_CARD.md").write_text(card(args.out.name, scores, facts, precision=small), encoding="utf-8")
    (work / "tokenizer.json").write_bytes((args.tokenizer or args.out / "tokenizer.json").read_bytes())
    write_selftest(work, "ner", small)
    write_manifest(
        work,
        {
            "name": args.out.name,
            "family": "ham",
            "kind": "ner",
            "version": args.version,
            "precision": small,
            "vision": vision_table(args.vision),
            "text": text_table(),
            "labels": list(LABELS),
            "heads": heads_table(crf, tuple(temperatures)),
            "training": {
                "data": list(TRAINED_ON),
                "commit": commit_of(Path(__file__).parent),
                "seed": args.seed,
                "recipe": args.recipe or "models/training/README.md",
            },
            "scores": {"note": note, **scores},
            "licence": LICENCE,
            "credit": CREDIT,
        },
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for file in ("model.onnx", "tokenizer.json", "selftest.json", "MODEL_CARD.md", "manifest.json"):
        (args.out / f".{file}").write_bytes((work / file).read_bytes())
        (args.out / f".{file}").replace(args.out / file)


if __name__ == "__main__":
    main()
