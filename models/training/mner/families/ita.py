"""ITA: Image-Text Alignments for Multi-Modal Named Entity Recognition (Wang et al., NAACL 2022, arXiv 2112.06482).

The picture is read as text: `[CLS] tweet [SEP] context [SEP]`, where the context is a description, the labels of the objects, the tags and the
words in the picture (`docs/bundles.md`, "Context"). The context's words carry no label, and the CRF runs over the tweet's words alone.

Two views of one tweet train together. The text view does not see the context; the cross-modal view does, and teaches the text view its
distribution over labels ("cross-view alignment", CVA):

    L = NLL(text) + 0.5 NLL(cross-modal) + 0.5 CVA
    CVA = T^2 / B * sum over words of KL( softmax((a + b) / T) of the cross-modal view, held fixed || the same of the text view )

where a and b are the CRF's forward and backward scores. One set of weights reads both views, so at run time the picture may be missing.

Beyond the paper: MiniLM with characters and flags in place of XLM-R-large, and a learned mark on the pieces of the context.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.crf import Crf
from mner.families.inputs import TEXT_INPUTS, FamilyBatch
from mner.text.branch import TextBranch, TextConfig


@dataclass(frozen=True, slots=True)
class ItaConfig:
    temperature: tuple[float, ...] = (4.0, 2.0)
    """T of each convention: 4 on Twitter-2015, 2 on Twitter-2017, as in the paper."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def cross_view_alignment(teacher: Tensor, student: Tensor, mask: Tensor, temperature: Tensor) -> Tensor:
    """Forward-plus-backward scores of both views [B,T,labels], mask [B,T], temperature [B] → loss of each row, [B]"""
    t = temperature[:, None, None]
    taught = F.log_softmax(teacher.detach() / t, 2)
    learned = F.log_softmax(student / t, 2)
    divergence = (taught.exp() * (taught - learned)).sum(2)
    return temperature**2 * (divergence * mask).sum(1)


class Ita(nn.Module):
    INPUTS: ClassVar = (*TEXT_INPUTS, "token_type_ids")
    OUTPUTS: ClassVar = ("emissions",)
    Config: ClassVar = ItaConfig

    def __init__(self, text: TextConfig, c: ItaConfig) -> None:
        super().__init__()
        self.text = TextBranch(text)
        self.crf = Crf(text.heads)
        self.context = nn.Parameter(torch.zeros(text.encoder.width))
        self.register_buffer("temperature", torch.tensor(c.temperature), persistent=False)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, word_of: Tensor, first: Tensor, chars: Tensor, flags: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor]:
        """→ emissions [B,T,heads,labels] of the tweet's words"""
        mark = token_type_ids.unsqueeze(2).to(self.context.dtype) * self.context
        return (self.text(input_ids, attention_mask, word_of, first, chars, flags, mark).emissions,)

    def loss(self, batch: FamilyBatch) -> Tensor:
        """Mean over the rows; a row without context has its text view alone."""
        inputs = batch.inputs
        beside = inputs["token_type_ids"]
        alone = {**inputs, "attention_mask": inputs["attention_mask"] * (1 - beside)}  # the context is there, but nobody looks
        text = batch.of_head(self(*(alone[n] for n in self.INPUTS))[0])
        loss = self.crf.nll(text, batch.labels, batch.word_mask, batch.head)
        some = beside.amax(1) > 0
        if some.any():
            cross = batch.of_head(self(*(inputs[n] for n in self.INPUTS))[0])[some]
            mask, head = batch.word_mask[some], batch.head[some]
            nll = self.crf.nll(cross, batch.labels[some], mask, head)
            scores = (self.crf.both_ways(e, mask, head) for e in (cross, text[some]))
            aligned = cross_view_alignment(*scores, mask, self.temperature[head])
            loss = loss.index_add(0, torch.nonzero(some).squeeze(1), 0.5 * nll + 0.5 * aligned)
        return (loss * batch.weight).mean()
