"""What the student learns, and from whom.

| part       | from                                  | what                                                                |
|------------|---------------------------------------|---------------------------------------------------------------------|
| `feature`  | teacher's pooled feature              | cosine and smooth L1 of the student's guess                         |
| `classes`  | teacher's frozen classifier           | KL at T = 2 between its reading of the guess and of the real thing  |
| `tags`     | the same                              | KL at T = 1 of the student's own tag layer, which ships             |
| `contrast` | captions                              | InfoNCE against a bank with one caption of every training picture   |
| `captions` | captions                              | cosine to the picture's mean caption                                |
| `pseudo`   | an MLP on the teacher's feature       | cosine to the caption embedding it guesses; counts double without captions |
| `affinity` | the MLP of `pseudo`                   | KL between its ranking of the bank and the student's [1]            |
| `objects`  | detections                            | `objects.py`                                                        |

[1] "Affinity mimicking" of TinyCLIP (Wu et al., ICCV 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import objects
from .network import Outputs
from .pseudo import contrast
from .teacher import Classifier

WEIGHTS = {"feature": 2.0, "classes": 0.5, "tags": 0.25, "contrast": 1.0, "affinity": 1.0, "captions": 2.0, "pseudo": 1.0, "objects": 0.5}
TEMPERATURE = 2.0


@dataclass(frozen=True)
class Lesson:
    """What is true of a batch of B pictures."""

    teacher: Tensor
    """[B, 1280] the teacher's feature of the view that each is cut from"""
    pseudo: Tensor
    """[B, 384] unit length"""
    mean_caption: Tensor
    """[B, 384] unit length; zero without captions"""
    place: Tensor
    """[B] where the picture's caption stands in the bank, or -1"""
    bank: Tensor
    """[n, 384] one caption of each training picture"""
    objects: objects.Targets


@dataclass(frozen=True)
class Standard:
    """The teacher's feature is learned in standardised form."""

    mean: Tensor
    spread: Tensor

    def apply(self, feature: Tensor) -> Tensor:
        return (feature - self.mean) / self.spread

    def undo(self, feature: Tensor) -> Tensor:
        return feature * self.spread + self.mean


def divergence(guess: Tensor, truth: Tensor, temperature: float) -> Tensor:
    """KL of two sets of logits [B, n] at a temperature, scaled back to size."""
    p, q = F.log_softmax(guess / temperature, 1), F.softmax(truth / temperature, 1)
    return F.kl_div(p, q, reduction="batchmean") * temperature**2


def parts(out: Outputs, lesson: Lesson, standard: Standard, classifier: Classifier, scale: Tensor) -> dict[str, Tensor]:
    """Each part of the loss, unweighted. `scale` is the learned inverse temperature of the contrast."""
    truth, guess = lesson.teacher, out.teacher.float()
    wanted, logits = standard.apply(truth), classifier(truth)
    embedding = F.normalize(out.embedding.float(), dim=1)
    captioned, sharp = lesson.place >= 0, scale.detach()
    to_pseudo = (1 - (embedding * lesson.pseudo).sum(1)) * torch.where(captioned, 0.5, 2.0)
    found = {
        "feature": (1 - F.cosine_similarity(guess, wanted, dim=1)).mean() + 0.1 * F.smooth_l1_loss(guess, wanted),
        "classes": divergence(classifier(standard.undo(guess)), logits, TEMPERATURE),
        "tags": divergence(out.tags.float(), logits, 1.0),
        "pseudo": to_pseudo.mean(),
        "affinity": divergence(sharp * embedding @ lesson.bank.T, sharp * lesson.pseudo @ lesson.bank.T, 1.0),
        "objects": objects.loss(out.objects.float(), lesson.objects),
    }
    if captioned.any():
        seen = embedding[captioned]
        found["contrast"] = contrast(seen, lesson.bank, lesson.place[captioned], scale)
        found["captions"] = (1 - (seen * lesson.mean_caption[captioned]).sum(1)).mean()
    return found


def total(found: dict[str, Tensor]) -> Tensor:
    return torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum()
