"""What leaves the training: the student with its normalisation, its grid projection and its decoded boxes in one module."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import objects
from .calibrate import lifted, lifts
from .network import CLASSES, FEATURE, GRID, Student, normalise
from .store import Paths, read_canvases, read_pictures
from .views import whole_pictures

SOFT = 0.1
"""The worker's pictures are resized once, straight from the original; the training's canvases were resized twice, and are softer. A blur with the
kernel (SOFT, 1 - 2 SOFT, SOFT) both ways makes them alike: without it R@10 on Flickr8k falls from 36.0 to 33.8."""


def blur_kernel() -> Tensor:
    """[3, 1, 3, 3], one filter a colour."""
    line = torch.tensor([SOFT, 1 - 2 * SOFT, SOFT])
    return (line[:, None] * line[None]).repeat(3, 1, 1, 1)


class Shipped(nn.Module):
    """uint8 pixels -> the five outputs of `docs/bundles.md`."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student
        self.register_buffer("blur", blur_kernel())
        self.register_buffer("projection", torch.zeros(FEATURE, GRID))
        self.register_buffer("offset", torch.zeros(GRID))
        self.register_buffer("lift", torch.ones(CLASSES))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """[B, S, S, 3] -> grid [B, 25, 192], embedding [B, 384], tags [B, 1001], boxes [B, Q, 4], object_scores [B, Q, 80]."""
        sharp = F.pad(normalise(pixels.float()).permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate")
        out = self.student(F.conv2d(sharp, self.blur, groups=3))
        cells = out.grid.flatten(2).transpose(1, 2)
        grid = cells @ self.projection + self.offset
        embedding = out.embedding / out.embedding.norm(dim=1, keepdim=True).clamp(min=1e-6)
        guess = out.objects.flatten(2).transpose(1, 2)
        scores = lifted(guess[:, :, 4:5].sigmoid() * guess[:, :, 5:].softmax(-1), self.lift)
        return grid.half(), embedding.half(), out.tags.softmax(1).half(), objects.decode(out.objects[:, :4]), scores


@torch.no_grad()
def principal_cells(student: Student, paths: Paths, side: int, count: int = 1500) -> tuple[Tensor, Tensor]:
    """Projection [640, 192] and offset [192] of the last map's cells onto their principal axes.

    Taken from training pictures. Each axis is divided by the square root of its spread, so that the first ones do not drown the others.
    """
    rows = np.random.RandomState(0).permutation(read_pictures(paths).training())[:count]
    canvases = read_canvases(paths)
    parts = [torch.from_numpy(canvases[np.sort(part)]) for part in np.array_split(rows, max(1, count // 50))]
    cells = torch.cat([student(whole_pictures(part, side)).grid.flatten(2).transpose(1, 2).flatten(0, 1) for part in parts])
    mean = cells.mean(0)
    centred = (cells - mean).double()
    spread, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
    best = spread.argsort(descending=True)[:GRID]
    projection = (axes[:, best] / spread[best].clamp(min=1e-8) ** 0.25).float()
    projection = projection / (centred.float() @ projection).std()
    return projection, -mean @ projection


def build(student: Student, paths: Paths, side: int) -> Shipped:
    shipped = Shipped(student).eval()
    projection, offset = principal_cells(student, paths, side)
    shipped.projection.copy_(projection)
    shipped.offset.copy_(offset)
    shipped.lift.copy_(lifts(student, paths, side))
    return shipped
