"""The student: a small dense ResNet with one head for each output of the bundle.

    pixels -> stem /4 -> 48 -> 96 /8 -> 192 /16 (fine map) -> 384 /32 -> 640 (last map) -> mean = pooled feature
                                           |                               |
                                           +---- object head <-- lateral --+

At 160 pixels the last map is 5x5 (the bundle's grid) and the fine map 10x10 (one box for each cell).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURE, CAPTION_SPACE, GRID, TAGS, CLASSES = 640, 384, 192, 1001, 80
TEACHER_FEATURE = 1280
GREY, CONTRAST = 114.0, 58.0
"""Pixels p enter as (p - 114) / 58: with these numbers an int8 graph holds them without loss."""


def normalise(pixels: Tensor) -> Tensor:
    return (pixels - GREY) / CONTRAST


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    """Residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with a narrow middle. The last batch norm starts at zero."""

    def __init__(self, inputs: int, outputs: int, stride: int, narrow: bool) -> None:
        super().__init__()
        if narrow:
            middle = outputs // 2
            parts = [conv(inputs, middle, 1), conv(middle, middle, 3, stride), conv(middle, outputs, 1, relu=False)]
        else:
            parts = [conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3, relu=False)]
        self.branch = nn.Sequential(*parts)
        nn.init.zeros_(parts[-1][1].weight)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            pool = [nn.AvgPool2d(2)] if stride == 2 else []
            self.skip = nn.Sequential(*pool, *conv(inputs, outputs, 1, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.skip(x))


@dataclass
class Outputs:
    """What the student says of B pictures; logits, not probabilities."""

    grid: Tensor
    """[B, 640, h, w] last map"""
    feature: Tensor
    """[B, 640] its mean"""
    embedding: Tensor
    """[B, 384] in the captions' space, any length"""
    tags: Tensor
    """[B, 1001] logits"""
    teacher: Tensor
    """[B, 1280] guess of the teacher's standardised feature (training only)"""
    objects: Tensor
    """[B, 85, 2h, 2w] box (4), objectness (1) and class (80) logits of each cell of the fine map"""


class ObjectHead(nn.Module):
    """The fine map and the last map, enlarged, to one guess a cell."""

    def __init__(self, fine: int, width: int = 112) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(FEATURE, fine, 1)
        self.mix = conv(fine, width, 3)
        self.guess = nn.Conv2d(width, 5 + CLASSES, 1)
        nn.init.constant_(self.guess.bias[4:], -4.0)

    def forward(self, fine: Tensor, last: Tensor) -> Tensor:
        return self.guess(self.mix(fine + F.interpolate(self.lateral(last), scale_factor=2.0, mode="nearest")))


class Student(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (48, 96, 192, 384), depths: tuple[int, ...] = (1, 2, 2, 2)) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 24, 3, 2), conv(24, widths[0], 3, 2))
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks: list[nn.Module] = []
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(inputs, width, stride, narrow=stage == 3))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.fine = nn.Sequential(*stages[:3])
        self.last = nn.Sequential(stages[3], conv(inputs, FEATURE, 1))
        self.embedding = nn.Linear(FEATURE, CAPTION_SPACE)
        self.tags = nn.Linear(FEATURE, TAGS)
        self.teacher = nn.Linear(FEATURE, TEACHER_FEATURE)
        self.objects = ObjectHead(widths[2])

    def forward(self, x: Tensor) -> Outputs:
        """[B, 3, S, S] normalised pixels, S a multiple of 32."""
        fine = self.fine(self.stem(x))
        last = self.last(fine)
        feature = last.mean((2, 3))
        return Outputs(
            last, feature, self.embedding(feature), self.tags(feature), self.teacher(feature), self.objects(fine, last)
        )


def read_student(path: str, device: torch.device | str = "cpu") -> Student:
    """The averaged weights of a checkpoint of `train.py`, in evaluation mode."""
    student = Student()
    student.load_state_dict(torch.load(path, map_location=device, weights_only=True)["average"])
    return student.to(device).eval()
