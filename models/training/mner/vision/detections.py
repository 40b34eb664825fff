"""Step 4: YOLOX-nano's objects in every picture, the teacher of the object head.

    python -m mner.vision.detections

Writes, N pictures and at most `MOST` objects each, best first:
`detection-boxes.npy` [N, MOST, 4] float32 (shares of the picture), `detection-scores.npy` [N, MOST] float32 (0 where there are fewer),
`detection-classes.npy` [N, MOST] int64. Flickr8k comes first, so a run that is stopped has the best part; it resumes.
"""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort
from PIL import Image

from .canvases import decode, read_shard
from .store import SHARDS, Paths, arguments, read_pictures, save

FILE = "teachers/yolox_nano.onnx"
SIDE, GREY, STRIDES = 416, 114, (8, 16, 32)
MOST, LEAST_SCORE, OVERLAP = 12, 0.15, 0.5
SAVE_EVERY = 1500


def coco_names(paths: Paths) -> list[str]:
    """The 80 class names: the label list has 90 lines, ten of them "n/a"."""
    lines = (paths.data / "teachers/coco_labels.txt").read_text().splitlines()
    names = [line.strip() for line in lines if line.strip() and line.strip() != "n/a"]
    assert len(names) == 80, f"80 classes expected, {len(names)} found"
    return names


def anchor_grid() -> tuple[np.ndarray, np.ndarray]:
    """[3549, 2] cell corners in cells and [3549, 1] strides, in the order of the model's rows."""
    corners, strides = [], []
    for stride in STRIDES:
        cells = SIDE // stride
        y, x = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
        corners.append(np.stack([x, y], -1).reshape(-1, 2))
        strides.append(np.full((cells * cells, 1), stride))
    return np.concatenate(corners), np.concatenate(strides)


def suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, overlap: float, most: int) -> list[int]:
    """Rows that survive non-maximum suppression within each class, best first.

    boxes [n, 4], scores [n], classes [n]. The worker does the same (IoU above `overlap` falls).
    """
    area = np.prod(np.maximum(0, boxes[:, 2:] - boxes[:, :2]), 1)
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if len(kept) == most:
            break
        rivals = [k for k in kept if classes[k] == classes[row]]
        if rivals:
            low = np.maximum(boxes[rivals, :2], boxes[row, :2])
            high = np.minimum(boxes[rivals, 2:], boxes[row, 2:])
            shared = np.prod(np.maximum(0, high - low), 1)
            if (shared / np.maximum(area[rivals] + area[row] - shared, 1e-9)).max() > overlap:
                continue
        kept.append(int(row))
    return kept


class Detector:
    def __init__(self, paths: Paths) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(paths.data / FILE), settings, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.corners, self.strides = anchor_grid()

    def __call__(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes [k, 4] as shares of the picture, scores [k], classes [k]; best first, k at most `MOST`."""
        scale = SIDE / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        canvas = np.full((SIDE, SIDE, 3), GREY, np.float32)
        canvas[:height, :width] = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))[:, :, ::-1]
        output = self.session.run(None, {self.input: canvas.transpose(2, 0, 1)[None]})[0][0]
        scores = output[:, 4:5] * output[:, 5:]
        best = np.flatnonzero(scores.max(1) >= LEAST_SCORE)
        centre = (output[best, :2] + self.corners[best]) * self.strides[best]
        half = np.exp(output[best, 2:4]) * self.strides[best] / 2
        boxes = np.concatenate([centre - half, centre + half], 1) / np.array([width, height, width, height])
        boxes = boxes.clip(0, 1).astype(np.float32)
        kept = suppress(boxes, scores[best].max(1), scores[best].argmax(1), OVERLAP, MOST)
        return boxes[kept], scores[best].max(1)[kept], scores[best].argmax(1)[kept]


def prepare(paths: Paths) -> None:
    pictures = read_pictures(paths)
    finished = paths.array("detection-done")
    done = np.load(finished) if finished.exists() else np.zeros(len(pictures), bool)
    if done.all():
        return
    if done.any():
        boxes, scores, classes = (np.load(paths.array(f"detection-{name}")) for name in ("boxes", "scores", "classes"))
    else:
        boxes = np.zeros((len(pictures), MOST, 4), np.float32)
        scores = np.zeros((len(pictures), MOST), np.float32)
        classes = np.zeros((len(pictures), MOST), np.int64)
    detector = Detector(paths)
    place = {(source, key): i for i, (source, key) in enumerate(zip(pictures.sources, pictures.keys, strict=True))}
    started, count = time.time(), 0

    def keep() -> None:
        for name, array in (("boxes", boxes), ("scores", scores), ("classes", classes), ("done", done)):
            save(paths.array(f"detection-{name}"), array)
        print(f"{done.sum()} of {len(done)}, {(time.time() - started) / max(count, 1) * 1e3:.1f} ms each", flush=True)

    for source, shard in SHARDS.items():
        for key, content, _ in read_shard(paths.data / shard):
            index = place.get((source, key))
            picture = decode(content) if index is not None and not done[index] else None
            if index is None or picture is None:
                continue
            found = detector(picture)
            most = len(found[1])
            boxes[index, :most], scores[index, :most], classes[index, :most] = found
            done[index] = True
            count += 1
            if count % SAVE_EVERY == 100:
                keep()
    keep()


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    prepare(Paths(options.data, options.work))
