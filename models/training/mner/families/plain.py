"""The text branch alone, as a family: what every other one is held against."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mner.crf import Crf
from mner.families.inputs import TEXT_INPUTS
from mner.text.branch import TextBranch, TextConfig


class Plain(nn.Module):
    INPUTS: ClassVar = TEXT_INPUTS
    OUTPUTS: ClassVar = ("emissions",)

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.text = TextBranch(text)
        self.crf = Crf(text.heads)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, word_of: Tensor, first: Tensor, chars: Tensor, flags: Tensor) -> tuple[Tensor]:
        return (self.text(input_ids, attention_mask, word_of, first, chars, flags).emissions,)
