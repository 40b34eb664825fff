"""A tiny vision bundle for the worker's tests: random weights, the outputs of the real one, made in a second.

    python -m mner.vision.fixture

Everything it says follows from the colours of a 5x5 mosaic of the picture, so different pictures get different answers, and a
picture in one plain colour has the same tags wherever the test runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle import write_manifest
from ..export.selftest import write_selftest
from .graph import write_graph
from .labels import write_labels
from .store import REPOSITORY, Paths, arguments

SIDE, CELLS, SEED = 64, 5, 20150


def apply(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer without a matrix product, whose rounding would depend on the size of the batch."""
    return (x[..., None, :] * layer.weight).sum(-1) + layer.bias


class Mosaic(nn.Module):
    """Mean colours of 5x5 cells, and one random linear map for each output."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = nn.Linear(3, 192)
        self.embedding = nn.Linear(3 * CELLS * CELLS, 384)
        self.tags = nn.Linear(3, 1001)
        self.classes = nn.Linear(3, 80)
        random = torch.Generator().manual_seed(SEED)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=random)
        self.tags.weight.data *= 2
        self.classes.bias.data -= 4.5
        row, column = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
        self.register_buffer("centres", (torch.stack([column, row], -1).reshape(-1, 2).float() + 0.5) / CELLS)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """[B, 64, 64, 3] uint8 -> grid [B, 25, 192], embedding [B, 384], tags [B, 1001], boxes [B, 25, 4], scores [B, 25, 80]."""
        colours = pixels.permute(0, 3, 1, 2).float() / 64 - 2
        mosaic = F.avg_pool2d(colours, SIDE // CELLS).flatten(2)
        colours = mosaic.transpose(1, 2)
        embedding = apply(self.embedding, mosaic.flatten(1))
        embedding = embedding / embedding.norm(dim=1, keepdim=True)
        tags = apply(self.tags, mosaic.mean(2)).softmax(1)
        half = 0.05 + 0.2 * colours[:, :, :2].sigmoid()
        boxes = torch.cat([self.centres - half, self.centres + half], 2).clamp(0, 1)
        scores = apply(self.classes, colours).sigmoid()
        return apply(self.grid, colours).half(), embedding.half(), tags.half(), boxes, scores


def write(paths: Paths, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(Mosaic(), SIDE, folder / "model.onnx")
    write_labels(paths, folder)
    write_selftest(folder, "vision", "fp32")
    write_manifest(folder, {
        "name": folder.name, "family": "vision", "kind": "vision", "version": "0.0.1", "precision": "fp32",
        "training": {"data": [], "commit": "none", "seed": SEED, "recipe": "random weights, python -m mner.vision.fixture"},
        "scores": {}, "licence": "Apache-2.0", "credit": "random numbers; the label lists of ImageNet and COCO",
    })  # fmt: skip


def main(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=REPOSITORY / "test/fixtures/bundles/vision-tiny")
    options = parser.parse_args()
    write(Paths(options.data, options.work), options.out)
    print(json.dumps({file.name: file.stat().st_size for file in options.out.iterdir()}))


if __name__ == "__main__":
    main(arguments(__doc__))
