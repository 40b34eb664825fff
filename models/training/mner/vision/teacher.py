"""Step 2: MobileNetV2's pooled features of several views of every picture, and its classifier.

    python -m mner.vision.teacher --views 2

View 0 is the whole picture; the others are crops at random, the same ones in every run, so that the student can be shown a part
of what the teacher has seen. The teacher is the quantised TFLite file of the data folder: it is used here and ships nowhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter

from .store import Paths, arguments, read_canvases, read_pictures, save

FILE = "teachers/mobilenet_v2_1.0_224_quant.tflite"
INPUT_SIDE = 224
LAST_MAP, CLASSIFIER, CLASSIFIER_BIAS = 168, 170, 2
"""Tensors of that file: the 7x7x1280 map before pooling, and the 1001 x 1280 classifier with its bias."""


@dataclass(frozen=True)
class Classifier:
    """The teacher's last layer, frozen: logits = weight @ feature + bias."""

    weight: torch.Tensor
    """[1001, 1280] float32"""
    bias: torch.Tensor
    """[1001] float32"""

    def __call__(self, feature: torch.Tensor) -> torch.Tensor:
        return F.linear(feature, self.weight, self.bias)

    def to(self, device: torch.device) -> Classifier:
        return Classifier(self.weight.to(device), self.bias.to(device))


def view_boxes(view: int, aspects: np.ndarray) -> np.ndarray:
    """[N, 4] x0, y0, x1, y1 of a view, as shares of the picture.

    Crops cover 30 to 100 % of the picture's area at an aspect of 3:4 to 4:3 in true pixels.
    """
    count = len(aspects)
    if view == 0:
        return np.tile(np.array([[0, 0, 1, 1]], np.float32), (count, 1))
    random = np.random.RandomState(100 + view)
    area = random.uniform(0.3, 1, count)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), count))
    width = np.minimum(1, np.sqrt(area * ratio / aspects))
    height = np.minimum(1, np.sqrt(area * aspects / ratio))
    left = random.uniform(0, 1, count) * (1 - width)
    top = random.uniform(0, 1, count) * (1 - height)
    return np.stack([left, top, left + width, top + height], 1).astype(np.float32)


def crop(canvas: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """[side, side, 3] uint8: a box of a canvas, resampled bilinearly."""
    picture = torch.from_numpy(np.ascontiguousarray(canvas)).permute(2, 0, 1)[None].float()
    x0, y0, x1, y1 = (float(v) for v in box)
    theta = torch.tensor([[[x1 - x0, 0, x0 + x1 - 1], [0, y1 - y0, y0 + y1 - 1]]])
    grid = F.affine_grid(theta, (1, 3, side, side), align_corners=False)
    sampled = F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


class Teacher:
    """The TFLite model, with the tensors that its head hides."""

    def __init__(self, paths: Paths) -> None:
        self.model = Interpreter(str(paths.data / FILE), num_threads=1, experimental_preserve_all_tensors=True)
        self.model.allocate_tensors()
        self.scales = {d["index"]: d["quantization"] for d in self.model.get_tensor_details()}

    def classifier(self) -> Classifier:
        scale, zero = self.scales[CLASSIFIER]
        weight = (self.model.get_tensor(CLASSIFIER).astype(np.float32).reshape(1001, 1280) - zero) * scale
        bias = self.model.get_tensor(CLASSIFIER_BIAS).astype(np.float32) * self.scales[CLASSIFIER_BIAS][0]
        return Classifier(torch.from_numpy(weight), torch.from_numpy(bias))

    def pooled(self, pixels: np.ndarray) -> np.ndarray:
        """[224, 224, 3] uint8 -> [1280] float32."""
        self.model.set_tensor(self.model.get_input_details()[0]["index"], pixels[None])
        self.model.invoke()
        scale, zero = self.scales[LAST_MAP]
        return (self.model.get_tensor(LAST_MAP)[0].astype(np.float32).mean((0, 1)) - zero) * scale


def read_classifier(paths: Paths) -> Classifier:
    return Teacher(paths).classifier()


def prepare(paths: Paths, views: range) -> None:
    """Writes `teacher-<view>.npy`, [N, 1280] float16, for each view that is missing."""
    pictures, canvases = read_pictures(paths), read_canvases(paths)
    teacher = Teacher(paths)
    for view in views:
        if paths.array(f"teacher-{view}").exists():
            continue
        boxes = view_boxes(view, pictures.aspects)
        features = np.zeros((len(pictures), 1280), np.float16)
        started = time.time()
        for index, box in enumerate(boxes):
            features[index] = teacher.pooled(crop(canvases[index], box, INPUT_SIDE))
            if index % 1000 == 100:
                print(f"view {view}: {index} pictures, {(time.time() - started) / (index + 1) * 1e3:.1f} ms each", flush=True)
        save(paths.array(f"teacher-{view}"), features)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--first", type=int, default=0, help="first view to compute")
    parser.add_argument("--views", type=int, default=2, help="number of views, the whole picture included")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prepare(Paths(options.data, options.work), range(options.first, options.views))
