"""Step 5: where the teacher's features lie in the captions' space, also for pictures that have no caption.

    python -m mner.vision.pseudo --views 2

A small MLP learns from Flickr8k to map the teacher's feature to its captions; its guess for every view of every picture is a
target for the student (`pseudo-<view>.npy`, [N, 384] float16, unit length). Its own retrieval score is the student's ceiling.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .metrics import retrieval, rounded
from .store import Paths, Pictures, arguments, read_pictures, save

EPOCHS, BATCH, RATE, HIDDEN = 20, 128, 1e-3, 768


class Captions:
    """Caption embeddings by picture."""

    def __init__(self, paths: Paths, pictures: Pictures) -> None:
        self.embeddings = torch.from_numpy(np.load(paths.array("captions")))
        self.owner = torch.from_numpy(np.load(paths.array("caption-of")))
        self.starts = torch.searchsorted(self.owner, torch.arange(len(pictures)))
        self.counts = torch.bincount(self.owner, minlength=len(pictures))

    def mean(self, pictures: Tensor) -> Tensor:
        """[n, 384] unit length: mean caption of each picture."""
        total = torch.zeros(len(self.counts), self.embeddings.shape[1]).index_add(0, self.owner, self.embeddings)
        return F.normalize(total[pictures], dim=1)

    def one_each(self, pictures: Tensor) -> Tensor:
        """[n, 384] a caption at random for each picture."""
        place = (torch.rand(len(pictures)) * self.counts[pictures]).long()
        return self.embeddings[self.starts[pictures] + place]

    def of(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """All captions of some pictures, and for each the place of its picture in `pictures`."""
        rows = [torch.arange(int(self.starts[p]), int(self.starts[p] + self.counts[p])) for p in pictures]
        owner = torch.repeat_interleave(torch.arange(len(pictures)), self.counts[pictures])
        return self.embeddings[torch.cat(rows)], owner


def contrast(embeddings: Tensor, bank: Tensor, place: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways: each of [b, d] against a bank [n, d] that holds its caption at `place` [b]. Unit lengths."""
    smooth = {"label_smoothing": 0.05}
    towards = F.cross_entropy(scale * embeddings @ bank.T, place, **smooth)
    back = F.cross_entropy(scale * bank[place] @ embeddings.T, torch.arange(len(place), device=place.device), **smooth)
    return (towards + back) / 2


def fit(features: list[Tensor], captions: Captions, training: Tensor) -> nn.Module:
    """features: one [N, 1280] standardised tensor a view; training: the captioned pictures to learn from."""
    model = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(1280, HIDDEN), nn.GELU(), nn.Dropout(0.3), nn.Linear(HIDDEN, captions.embeddings.shape[1])
    )
    scale = nn.Parameter(torch.tensor(math.log(20.0)))
    optimiser = torch.optim.AdamW(
        [{"params": model.parameters(), "weight_decay": 0.1}, {"params": [scale], "weight_decay": 0}], RATE
    )
    means, steps = captions.mean(training), EPOCHS * (len(training) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for epoch in range(EPOCHS):
        bank, inputs = captions.one_each(training), features[epoch % len(features)][training]
        order = torch.randperm(len(training))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            guess = F.normalize(model(inputs[rows]), dim=1)
            error = contrast(guess, bank, rows, scale.exp().clamp(max=100)) + 2 * (1 - (guess * means[rows]).sum(1)).mean()
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def prepare(paths: Paths, views: int) -> None:
    if all(paths.array(f"pseudo-{view}").exists() for view in range(views)):
        return
    torch.manual_seed(0)
    pictures = read_pictures(paths)
    captions = Captions(paths, pictures)
    held_out = torch.from_numpy(pictures.held_out("flickr8k"))
    training = torch.from_numpy(np.intersect1d(pictures.of("flickr8k"), pictures.training()))
    features = [torch.from_numpy(np.load(paths.array(f"teacher-{view}"))).float() for view in range(views)]
    mean, spread = features[0][training].mean(0), features[0][training].std(0) + 0.02
    features = [(feature - mean) / spread for feature in features]
    model = fit(features, captions, training)
    with torch.no_grad():
        print(rounded(retrieval(model(features[0][held_out]), *captions.of(held_out))))
        for view, feature in enumerate(features):
            save(paths.array(f"pseudo-{view}"), F.normalize(model(feature), dim=1).numpy().astype(np.float16))


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--views", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prepare(Paths(options.data, options.work), options.views)
