"""Step 7: the bundle `models/vision-int8`: student -> fp32 graph -> int8 graph, labels, model card, manifest with scores.

    python -m mner.vision.export --name student --version 1.1.0

The fp32 graph stays in the work folder, to measure the int8 one against.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..bundle import commit_of, write_manifest
from ..export.check import instructions
from ..export.manifest import LICENCE
from ..export.selftest import write_selftest
from .graph import write_graph
from .labels import write_labels
from .network import Student, read_student
from .quantize import quantize
from .report import report
from .shipped import build
from .store import REPOSITORY, Paths, arguments, read_canvases, read_pictures
from .train import SHIPPED_SIDE
from .views import cut

CARD = Path(__file__).with_name("card.md")
CALIBRATION = 256
CREDIT = (
    "Trained from scratch on Flickr8k, pictures of public tweets and one photo per ImageNet class; taught by MobileNetV2 1.0 224 and "
    "YOLOX-nano (Apache-2.0), and by sentence embeddings of MiniLM-L6-v2 (Apache-2.0). No weights of the teachers are in the bundle."
)


def calibration_pictures(paths: Paths, side: int) -> np.ndarray:
    """[n, side, side, 3] uint8: training pictures of all sources."""
    rows = np.sort(np.random.RandomState(1).permutation(read_pictures(paths).training())[:CALIBRATION])
    canvases = torch.from_numpy(read_canvases(paths)[rows])
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(rows), 1)
    pixels = cut(canvases, whole, side, torch.zeros(len(rows), dtype=torch.bool))
    return pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def size_of(student: Student) -> dict[str, Any]:
    """Parameters and floating-point operations (two a multiplication) of what ships."""
    from torch.utils.flop_counter import FlopCounterMode

    shipped = [p.numel() for name, p in student.named_parameters() if not name.startswith("teacher.")]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        student(torch.zeros(1, 3, SHIPPED_SIDE, SHIPPED_SIDE))
    return {"parameters": sum(shipped), "gflop": round(counter.get_total_flops() / 1e9, 2)}


def rows_of(scores: dict[str, Any]) -> str:
    """The scores as rows of a Markdown table."""
    lines = []
    for name in scores["int8"]["flickr8k"]:
        values = [scores["int8"]["flickr8k"][name], scores["fp32"]["flickr8k"][name], scores["int8"]["tweets"].get(name, "")]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(str(value) for value in values) + " |")
    for name, value in scores["int8"]["speed_one_thread"].items():
        lines.append(f"| {name.replace('_', ' ')} | {value} | {scores['fp32']['speed_one_thread'][name]} | |")
    return "\n".join(lines)


def export(paths: Paths, options: argparse.Namespace) -> None:
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = paths.vision / f"{options.name}.pt"
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    student = read_student(str(checkpoint))
    full = paths.vision / f"{options.name}-fp32.onnx"
    write_graph(build(student, paths, SHIPPED_SIDE), SHIPPED_SIDE, full)
    quantize(full, folder / "model.onnx", calibration_pictures(paths, SHIPPED_SIDE))
    write_labels(paths, folder)
    scores: dict[str, Any] = {name: report(graph, paths) for name, graph in (("int8", folder / "model.onnx"), ("fp32", full))}
    facts = size_of(student) | {
        "seconds": round(state["seconds"]),
        "seen": state["seen"],
        "processes": state.get("processes", 1),
        "instructions": instructions(),
        "megabytes": round((folder / "model.onnx").stat().st_size / 1e6, 1),
    }
    print(json.dumps(scores | facts, indent=1), flush=True)
    (folder / "MODEL_CARD.md").write_text(CARD.read_text().format(version=options.version, table=rows_of(scores), **facts))
    write_selftest(folder, "vision", "int8")
    write_manifest(folder, {
        "name": folder.name, "family": "vision", "kind": "vision", "version": options.version, "precision": "int8",
        "training": {
            "data": ["flickr8k (7498 pictures, 500 held out)", "tweet_images (4399, 300 held out)", "imagenet_samples (1000)"],
            "commit": commit_of(REPOSITORY), "seed": options.seed,
            "recipe": f"models/training: mner.vision, {facts['seconds']} s on {facts['processes']} CPU core(s), {facts['seen']} pictures seen",
        },
        "scores": scores, "licence": LICENCE, "credit": CREDIT,
    })  # fmt: skip


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--name", default="student", help="the checkpoint in the work folder")
    parser.add_argument("--version", required=True, help="changes with every release of the weights: caches go by it")
    parser.add_argument("--seed", type=int, default=1, help="the seed that the checkpoint was trained with, for the manifest")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "models/vision-int8")
    options = parser.parse_args()
    torch.set_num_threads(1)
    export(Paths(options.data, options.work), options)
