"""What each part of `ham` is worth: mean and deviation over seeds, on the validation splits.

    python -m mner.families.ablate --text .work/student/best.pt --readings .work/readings --bridged .work/bridged --features .work/features \
        --fusions .work/ham-1/best.pt .work/ham-2/best.pt .work/ham-3/best.pt

Streams are taken away from a trained fusion, as modality dropout did in training. The gate and the number of iterations change what is trained: give
`mner.families.train_ham` the option `--no-gate` or `--iterations N`, and name those checkpoints here by themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mner.families.ham import HamConfig, HamFusion, Picture
from mner.families.train_ham import PRODUCT, evaluate, gather
from mner.text.product import load_product

CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "all streams": lambda p: p,
    "no grid": lambda p: p._replace(grid=torch.zeros_like(p.grid)),
    "no objects": lambda p: p._replace(
        boxes=torch.zeros_like(p.boxes), object_classes=torch.zeros_like(p.object_classes), object_scores=torch.zeros_like(p.object_scores)
    ),
    "no places of objects": lambda p: p._replace(boxes=torch.zeros_like(p.boxes)),
    "no scene": lambda p: p._replace(embedding=torch.zeros_like(p.embedding)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--fusions", type=Path, nargs="+", required=True, help="one checkpoint for each seed")
    parser.add_argument("--readings", type=Path, required=True)
    parser.add_argument("--bridged", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    text, branch, crf = load_product(*args.text)
    _, valid = gather(args, crf)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CHANGES}
    for path in args.fusions:
        saved = torch.load(path, weights_only=False, map_location="cpu")
        c = HamConfig(**saved["config"])
        fusion = HamFusion(text.state, text.encoder.width, text.heads, c)
        fusion.load_state_dict(saved["model"])
        for name, change in CHANGES.items():
            found[name].append(evaluate(fusion, branch.encoder.words, valid, crf, c, change))
    print(f"mean ± deviation of {len(args.fusions)} seeds\n")
    for title, sources, kinds in (("F1, lenient", PRODUCT, ("none", "own", "other")), ("relevance", tuple(valid), ("auc", "ece"))):
        print("| " + " | ".join([title, *(f"{s} {k}" for s in sources for k in kinds)]) + " |")
        print("|" + "---|" * (1 + len(kinds) * len(sources)))
        for name, seeds in found.items():
            print("| " + " | ".join([name, *(_cell([seed[s][k] for seed in seeds]) for s in sources for k in kinds)]) + " |")
        print()


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.4g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
