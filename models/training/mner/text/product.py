"""The text branch as it ships: the two heads of the product, cut from a training checkpoint or from the mean of several."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from mner.crf import Crf
from mner.labels import CONVENTIONS, LABELS
from mner.score import both, in_lines
from mner.text.batch import Encoded, collate, encode, of_head, tell
from mner.text.branch import TextBranch, TextConfig
from mner.text.data import data_folder, read_split
from mner.text.encoder import minilm_folder
from mner.text.words import Pieces

PRODUCT = ("twitter2015", "twitter2017")


def mean_state(paths: list[Path]) -> tuple[TextConfig, dict[str, Tensor]]:
    """The mean of the weights of runs that parted from one checkpoint (Wortsman et al., "Model soups", ICML 2022)."""
    loaded = [torch.load(p, weights_only=False, map_location="cpu") for p in paths]
    states = [f["model"] for f in loaded]
    return TextConfig.from_json(loaded[0]["config"]), {k: torch.stack([s[k] for s in states]).mean(0) for k in states[0]}


def cut_to_product(trained: TextConfig, state: dict[str, Tensor]) -> tuple[TextConfig, dict[str, Tensor]]:
    """A tagger's weights without the heads that do not ship."""
    heads = len(CONVENTIONS)
    cut = {"branch.output.weight": heads * len(LABELS), "branch.output.bias": heads * len(LABELS)}
    cut |= {f"crf.{name}": heads for name in ("transitions_free", "start_free", "end")}
    return TextConfig.from_json({**trained.to_json(), "heads": heads}), {k: v[: cut[k]] if k in cut else v for k, v in state.items()}


def load_product(*paths: Path) -> tuple[TextConfig, TextBranch, Crf]:
    """Branch and CRF with one head per convention, in evaluation mode."""
    config, state = cut_to_product(*mean_state(list(paths)))
    branch, crf = TextBranch(config), Crf(config.heads)
    branch.load_state_dict({k.removeprefix("branch."): v for k, v in state.items() if k.startswith("branch.")})
    crf.load_state_dict({k.removeprefix("crf."): v for k, v in state.items() if k.startswith("crf.")})
    return config, branch.eval(), crf.eval()


def main() -> None:
    """Scores of a checkpoint, or of the mean of several, on the validation splits."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    _, branch, crf = load_product(*args.checkpoints)
    pieces, folder = Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    for head, corpus in enumerate(PRODUCT):
        rows = encode(read_split(folder, corpus, "valid"), head, pieces)

        def paths_of(index: list[int], rows: list[Encoded] = rows) -> list[list[int]]:
            batch = collate([rows[i] for i in index], pieces)
            with torch.no_grad():
                return crf.decode(of_head(branch(*batch.text()).emissions, batch.head), batch.word_mask, batch.head)

        print(in_lines(corpus, both([r.tweet.labels for r in rows], tell(rows, paths_of))), flush=True)


if __name__ == "__main__":
    main()
