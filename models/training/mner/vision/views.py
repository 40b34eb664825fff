"""One training batch: what the student sees of a picture, and where the teacher's objects stand in it.

The teacher has seen a few fixed views of each picture. The student sees a crop of one of them (the smaller the view, the larger
the share of it), mirrored half the time, with other colours, sometimes with a hole. So one teacher feature serves many pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .network import CONTRAST, GREY, normalise
from .objects import Targets

VISIBLE = 0.4
"""An object counts in a crop when this share of its box is still in it."""


@dataclass(frozen=True)
class Batch:
    pixels: Tensor
    """[B, 3, S, S] normalised"""
    view: Tensor
    """[B] which of the teacher's views it is cut from"""
    objects: Targets


def sample_crops(boxes: Tensor, whole: Tensor, several: bool) -> Tensor:
    """[B, 4] crops at random within view boxes [B, 4]; `whole` [B] marks views of the whole picture."""
    count, device = len(boxes), boxes.device
    sides = boxes[:, 2:] - boxes[:, :2]
    least = torch.where(whole, 0.45, 0.75) if several else torch.full((count,), 0.35, device=device)
    area = least + torch.rand(count, device=device) * (1 - least)
    ratio = torch.exp((torch.rand(count, device=device) * 2 - 1) * 0.2)
    shares = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)
    low = boxes[:, :2] + torch.rand(count, 2, device=device) * sides * (1 - shares)
    return torch.cat([low, low + shares * sides], 1)


def cut(canvases: Tensor, crops: Tensor, side: int, mirrored: Tensor) -> Tensor:
    """uint8 canvases [B, C, C, 3] -> float [B, 3, side, side], resampled; `mirrored` [B] bool."""
    pixels = canvases.permute(0, 3, 1, 2).float()
    theta = pixels.new_zeros(len(crops), 2, 3)
    sign = 1 - 2 * mirrored.float()
    theta[:, 0, 0] = (crops[:, 2] - crops[:, 0]) * sign
    theta[:, 0, 2] = crops[:, 0] + crops[:, 2] - 1
    theta[:, 1, 1] = crops[:, 3] - crops[:, 1]
    theta[:, 1, 2] = crops[:, 1] + crops[:, 3] - 1
    grid = F.affine_grid(theta, [len(crops), 3, side, side], align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recolour(pixels: Tensor) -> Tensor:
    """Saturation, brightness, contrast and tint at random, as one 3x3 matrix and offset a picture; returns normalised pixels."""
    count, device = len(pixels), pixels.device
    saturation = torch.rand(count, 1, 1, device=device) + 0.4
    saturation = torch.where(torch.rand(count, 1, 1, device=device) < 0.08, 0.0, saturation)
    brightness, contrast = torch.rand(2, count, 1, 1, device=device).mul(0.8).add(0.6)
    tint = 1 + 0.06 * torch.randn(count, 3, 1, device=device)
    matrix = saturation * torch.eye(3, device=device) + (1 - saturation) / 3
    matrix = matrix * contrast * brightness * tint
    middle = pixels[:, :, ::8, ::8].mean((1, 2, 3)).view(count, 1, 1)
    offset = middle * (1 - contrast) * brightness * tint
    coloured = torch.baddbmm((offset - GREY) / CONTRAST, matrix / CONTRAST, pixels.flatten(2))
    return coloured.view_as(pixels)


def punch_holes(pixels: Tensor, share: float = 0.25) -> None:
    """Covers a square of a share of the pictures with one random colour, in place."""
    side = pixels.shape[2]
    for index in torch.nonzero(torch.rand(len(pixels)) < share).flatten().tolist():
        size = int(torch.randint(side // 6, side // 2, ()))
        top, left = (int(v) for v in torch.randint(0, side - size, (2,)))
        pixels[index, :, top : top + size, left : left + size] = torch.randn(3, 1, 1, device=pixels.device)


def through_crop(objects: Targets, crops: Tensor, mirrored: Tensor) -> Targets:
    """Objects of whole pictures as they stand in crops [B, 4]; those that are mostly cut away get a score of 0."""
    low, sides = crops[:, None, :2], (crops[:, 2:] - crops[:, :2])[:, None]
    boxes = torch.cat([(objects.boxes[..., :2] - low) / sides, (objects.boxes[..., 2:] - low) / sides], -1)
    seen = boxes.clamp(0, 1)
    flipped = torch.stack([1 - seen[..., 2], seen[..., 1], 1 - seen[..., 0], seen[..., 3]], -1)
    visible = (seen[..., 2:] - seen[..., :2]).prod(-1) / (boxes[..., 2:] - boxes[..., :2]).prod(-1).clamp(min=1e-9)
    scores = torch.where(visible >= VISIBLE, objects.scores, 0.0)
    return Targets(torch.where(mirrored[:, None, None], flipped, seen), scores, objects.classes)


def training_batch(canvases: Tensor, views: Tensor, objects: Targets, side: int) -> Batch:
    """canvases [B, C, C, 3] uint8, views [K, B, 4] boxes of the teacher's views of these pictures, objects of the whole ones."""
    count = len(canvases)
    view = torch.randint(0, len(views), (count,), device=views.device)
    boxes = views[view, torch.arange(count, device=views.device)]
    crops = sample_crops(boxes, view == 0, len(views) > 1)
    mirrored = torch.rand(count, device=views.device) < 0.5
    pixels = recolour(cut(canvases, crops, side, mirrored))
    punch_holes(pixels)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return Batch(pixels, view, through_crop(objects, crops, mirrored))


def whole_pictures(canvases: Tensor, side: int) -> Tensor:
    """[B, 3, side, side] normalised, nothing at random."""
    pixels = canvases.permute(0, 3, 1, 2).float()
    pixels = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return normalise(pixels).contiguous(memory_format=torch.channels_last)
