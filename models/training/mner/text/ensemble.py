"""Several text branches as one: the mean of their emissions, and of their CRFs' scores.

    python -m mner.text.ensemble .work/shipped.pt .work/t2/final.pt

The mean of the scores of linear chains is a linear chain again, the (geometric) product of the experts; so an ensemble has exact marginals, and
all that reads a CRF reads it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from mner.crf import Crf
from mner.labels import CONVENTIONS
from mner.score import both, in_lines
from mner.text.batch import Batch, Encoded, collate, encode, of_head, tell
from mner.text.branch import TextBranch
from mner.text.data import data_folder, read_split
from mner.text.encoder import minilm_folder
from mner.text.product import PRODUCT, load_product
from mner.text.words import Pieces


class Ensemble(nn.Module):
    """Members with the product's two heads, in evaluation mode."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__()
        members = [load_product(p)[1:] for p in paths]
        self.branches = nn.ModuleList(branch for branch, _ in members)
        self.crf = Crf(len(CONVENTIONS))
        for name, p in self.crf.named_parameters():
            p.data = torch.stack([dict(crf.named_parameters())[name].data for _, crf in members]).mean(0)
        self.eval()

    @torch.no_grad()
    def emissions(self, batch: Batch) -> Tensor:
        """[B,T,heads,labels]"""
        branches: list[TextBranch] = list(self.branches)  # type: ignore[assignment]
        return torch.stack([branch(*batch.text()).emissions.float() for branch in branches]).mean(0)


def answers(model: Ensemble, rows: list[Encoded], pieces: Pieces, device: torch.device | None = None) -> list[list[str]]:
    """Labels of each row under its own convention."""

    def paths_of(index: list[int]) -> list[list[int]]:
        batch = collate([rows[i] for i in index], pieces).to(device or torch.device("cpu"))
        return model.crf.decode(of_head(model.emissions(batch), batch.head), batch.word_mask, batch.head)

    return tell(rows, paths_of)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, pieces, folder = Ensemble(args.checkpoints), Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    for head, corpus in enumerate(PRODUCT):
        rows = encode(read_split(folder, corpus, "valid"), head, pieces)
        print(in_lines(corpus, both([r.tweet.labels for r in rows], answers(model, rows, pieces))), flush=True)


if __name__ == "__main__":
    main()
