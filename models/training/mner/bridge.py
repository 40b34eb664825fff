"""From a caption to the features that its picture would roughly have: how Twitter-2015 and Twitter-2017 train without pixels.

    python -m mner.bridge            # after `mner.vision.features`

Three steps for each caption, all learned from Flickr8k, where picture and captions are both there:

1. **Predict.** A small MLP maps the caption's sentence embedding to the picture's key: its embedding beside the mean of its grid.
2. **Recall.** The key is looked up among real pictures (training part of Flickr8k and of the tweets); the nearest few are weighted.
3. **Compose.** The embedding is a mixture of those pictures'. The grid is the nearest picture's, moved so that its mean is that of the
   mixture: real texture, likely content. The objects are the ones that the nearest pictures agree on.

The prediction itself goes into no answer: on held-out pictures the mixture alone was nearer to the real features than the prediction, or
than half of each; and many pictures were nearer than one.

Writes `<work>/bridged/{twitter2015,twitter2017}.npz` in the form of `mner.vision.features`, and prints how near the bridge comes to the
real features of held-out pictures. The placeholder caption stands for a tweet without a picture: such ids are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vision.captions import embed
from .vision.metrics import retrieval, rounded
from .vision.network import CAPTION_SPACE, CLASSES, GRID
from .vision.objects import BEST
from .vision.pseudo import Captions
from .vision.runner import Features, read_features
from .vision.store import Paths, arguments, read_pictures, save

PLACEHOLDER = "a man is standing on a skateboard in the snow"
SETS = ("twitter2015", "twitter2017")
EPOCHS, BATCH, RATE, HIDDEN, NOISE = 8, 256, 1e-3, 1024, 0.5
KEY = CAPTION_SPACE + GRID


@dataclass(frozen=True)
class Settings:
    """How an answer is put together from the nearest pictures."""

    neighbours: int = 32
    sharpness: float = 10.0
    """Weights are softmax(sharpness * cosine)."""
    agreement: float = 0.4
    """An object class is kept when neighbours with this share of the weight show it."""


class Keys:
    """Picture -> key: the embedding and the mean of the grid, each standardised on the memory's pictures."""

    def __init__(self, memory: Features) -> None:
        raw = self.raw(memory)
        self.mean, self.spread = raw.mean(0), raw.std(0) + 0.02 * raw.std(0).mean()

    @staticmethod
    def raw(features: Features) -> Tensor:
        """[n, 576]"""
        embedding = torch.from_numpy(features.embedding).float()
        return torch.cat([embedding, torch.from_numpy(features.grid).float().mean(1)], 1)

    def __call__(self, features: Features) -> Tensor:
        return (self.raw(features) - self.mean) / self.spread


def fit(captions: Tensor, keys: Tensor, owner: Tensor) -> nn.Module:
    """captions [m, 384] of pictures keys [n, 576]; owner [m]. Noise on the captions stands for other people's wording."""
    model = nn.Sequential(nn.Linear(captions.shape[1], HIDDEN), nn.GELU(), nn.Dropout(0.3), nn.Linear(HIDDEN, keys.shape[1]))
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS * (len(captions) // BATCH))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(captions)).split(BATCH):
            if len(rows) < BATCH:
                continue
            noise = NOISE * torch.randn(BATCH, captions.shape[1]) / captions.shape[1] ** 0.5
            guess, truth = model(F.normalize(captions[rows] + noise, dim=1)), keys[owner[rows]]
            similarity = 20 * F.normalize(guess, dim=1) @ F.normalize(truth, dim=1).T
            error = (1 - F.cosine_similarity(guess, truth, dim=1)).mean() + 0.2 * F.mse_loss(guess, truth)
            error = error + 0.3 * F.cross_entropy(similarity, torch.arange(BATCH))
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


class Bridge:
    """A fitted predictor and the memory that it looks its answers up in."""

    def __init__(self, memory: Features, keys: Keys, model: nn.Module, settings: Settings) -> None:
        self.memory, self.keys, self.model, self.settings = memory, keys, model, settings
        stored = keys(memory)
        self.stored = F.normalize(stored, dim=1)
        self.embeddings, self.means = Keys.raw(memory).split([CAPTION_SPACE, GRID], 1)
        self.shown = torch.zeros(len(memory.ids), CLASSES)
        for slot in range(BEST):
            kind = torch.from_numpy(memory.object_classes[:, slot])
            rows = torch.nonzero(kind > 0).flatten()
            self.shown[rows, kind[rows] - 1] = 1

    @torch.no_grad()
    def __call__(self, ids: list[str], captions: Tensor) -> Features:
        """captions [n, 384] unit length."""
        parts = [self.answer(part) for part in captions.split(256)]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Features(ids, **arrays)

    def answer(self, captions: Tensor) -> dict[str, np.ndarray]:
        key = self.model(captions)
        cosine, near = (F.normalize(key, dim=1) @ self.stored.T).topk(self.settings.neighbours, 1)
        weight = (self.settings.sharpness * cosine).softmax(1)
        embedding = F.normalize((weight[..., None] * self.embeddings[near]).sum(1), dim=1)
        mean = (weight[..., None] * self.means[near]).sum(1)
        first = near[:, 0]
        grid = torch.from_numpy(self.memory.grid[first.numpy()]).float() + (mean - self.means[first])[:, None]
        answer = {"grid": grid.numpy().astype(np.float16), "embedding": embedding.numpy().astype(np.float16)}
        answer |= self.objects(weight, near)
        rows = first.numpy()
        return answer | {"tags": self.memory.tags[rows], "tag_scores": self.memory.tag_scores[rows]}

    def objects(self, weight: Tensor, near: Tensor) -> dict[str, np.ndarray]:
        """The classes that neighbours agree on, each with the boxes of the nearest picture that shows it; best score first."""
        count = len(near)
        votes = (weight[..., None] * self.shown[near]).sum(1).numpy()
        boxes, scores = np.zeros((count, BEST, 4), np.float32), np.zeros((count, BEST), np.float32)
        classes = np.zeros((count, BEST), np.int64)
        for row in range(count):
            found: list[tuple[float, int, np.ndarray]] = []
            for kind in np.flatnonzero(votes[row] >= self.settings.agreement):
                holder = next(int(p) for p in near[row] if self.shown[p, kind])
                slots = np.flatnonzero(self.memory.object_classes[holder] == kind + 1)
                found += [(float(self.memory.object_scores[holder, s]), int(kind), self.memory.boxes[holder, s]) for s in slots]
            for slot, (value, kind, box) in enumerate(sorted(found, key=lambda f: -f[0])[:BEST]):
                boxes[row, slot], scores[row, slot], classes[row, slot] = box, value, kind + 1
        return {"boxes": boxes, "object_classes": classes, "object_scores": scores}


def shown_classes(features: Features) -> np.ndarray:
    """[n, 80] bool."""
    shown = np.zeros((len(features.ids), CLASSES + 1), bool)
    np.put_along_axis(shown, features.object_classes, True, 1)
    return shown[:, 1:]


def measure(bridged: Features, real: Features, owner: Tensor) -> dict[str, float]:
    """How near the bridge comes: bridged [m] from captions, real [n] pictures, owner [m].

    `embedding_*` and `grid_*` (mean over cells), both centred: a bridged feature finds its real picture among all (recall, AUC). Objects: F1 of the
    set of classes shown.
    """
    scores: dict[str, float] = {}
    parts = {"embedding": lambda f: f.embedding.astype(np.float32), "grid": lambda f: f.grid.astype(np.float32).mean(1)}
    for name, part in parts.items():
        there, said = torch.from_numpy(part(real)), torch.from_numpy(part(bridged))
        centre = there.mean(0)
        found = retrieval(there - centre, said - centre, owner)
        scores |= {f"{name}_r{k}": found[f"caption_to_picture_r{k}"] for k in (1, 5, 10)}
        scores |= {f"{name}_auc": found["auc_own_caption"], f"{name}_cosine": found["cosine_own"]}
    shown, true = shown_classes(bridged), shown_classes(real)[owner.numpy()]
    scores["object_class_f1"] = 100 * float(2 * (shown & true).sum() / max(shown.sum() + true.sum(), 1))
    return scores


def read_captions(path: Path) -> dict[str, str]:
    """Image id -> caption, without the pictures that are not there."""
    rows = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line)
    return {key: caption for key, caption in rows if caption.strip() != PLACEHOLDER}


def embedded_captions(paths: Paths, name: str) -> tuple[list[str], Tensor]:
    """Image ids of a set and their captions' embeddings [n, 384], computed once."""
    captions = read_captions(paths.data / name / "captions.blip2.tsv")
    stored = paths.array(f"captions-{name}")
    if not stored.exists():
        save(stored, embed(list(captions.values())))
    return list(captions), torch.from_numpy(np.load(stored))


def both(first: Features, second: Features) -> Features:
    arrays = {name: np.concatenate([value, vars(second)[name]]) for name, value in vars(first).items() if name != "ids"}
    return Features(first.ids + second.ids, **arrays)


@dataclass(frozen=True)
class Trained:
    """A fitted predictor with everything that measuring it needs."""

    memory: Features
    keys: Keys
    model: nn.Module
    real: Features
    """[n] held-out pictures"""
    captions: Tensor
    """[m, 384] their captions"""
    owner: Tensor
    """[m]"""

    def bridge(self, settings: Settings) -> Bridge:
        return Bridge(self.memory, self.keys, self.model, settings)

    def measure(self, settings: Settings) -> dict[str, float]:
        bridged = self.bridge(settings)([str(i) for i in range(len(self.captions))], self.captions)
        return rounded(measure(bridged, self.real, self.owner))


def train(paths: Paths) -> Trained:
    torch.manual_seed(0)
    pictures = read_pictures(paths)
    captions = Captions(paths, pictures)
    place = {key: index for index, key in enumerate(pictures.keys)}
    parts: dict[str, tuple[Features, Features]] = {}
    for source in ("flickr8k", "tweets"):
        features = read_features(paths.work / "features" / f"{source}.npz")
        unseen = {pictures.keys[row] for row in pictures.held_out(source)}
        held = np.array([key in unseen for key in features.ids])
        parts[source] = features.rows(np.flatnonzero(~held)), features.rows(np.flatnonzero(held))
    seen, real = parts["flickr8k"]
    memory = both(seen, parts["tweets"][0])
    keys = Keys(memory)
    model = fit(*trained_on(captions, seen, place, keys))
    texts, owner = captions.of(torch.tensor([place[key] for key in real.ids]))
    return Trained(memory, keys, model, real, texts, owner)


def trained_on(captions: Captions, seen: Features, place: dict[str, int], keys: Keys) -> tuple[Tensor, Tensor, Tensor]:
    """(captions [m, 384], keys [n, 576], owner [m]) of the training pictures."""
    texts, owner = captions.of(torch.tensor([place[key] for key in seen.ids]))
    return texts, keys(seen), owner


def write(paths: Paths, settings: Settings, again: bool) -> None:
    targets = {name: paths.work / "bridged" / f"{name}.npz" for name in SETS}
    if all(target.exists() for target in targets.values()) and not again:
        return
    trained = train(paths)
    scores = trained.measure(settings)
    print(json.dumps(scores), flush=True)
    bridge = trained.bridge(settings)
    for name, target in targets.items():
        ids, captions = embedded_captions(paths, name)
        bridged = bridge(ids, captions)
        bridged.write(target)
        print(name, len(bridged.ids), flush=True)
    (paths.work / "bridged" / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--again", action="store_true", help="write files that are already there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    write(Paths(options.data, options.work), Settings(), options.again)
