"""A text branch on corpora that it does not ship for: the dev splits of Broad Twitter, WNUT-17 and Tweebank-NER.

    python -m mner.text.elsewhere .work/student/best.pt
    python -m mner.text.train --corpora wnut17 --out .work/wnut17 --epochs 5        # the yardstick: a branch trained on one of them alone

Types are mapped as in training (`mner/labels.py`); a type that a corpus does not annotate is not held against the model. Both conventions are read,
each with the words that it is made for, as the worker cuts them: `entity` takes the sign off `@name` and `#tag`.
The texts of their training splits were among those that the branch learned from, those of the dev splits were not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mner.labels import CONVENTIONS
from mner.score import both, in_lines
from mner.text.batch import encode
from mner.text.data import CORPORA, data_folder, read_split, with_signs_cut
from mner.text.encoder import minilm_folder
from mner.text.ensemble import Ensemble, answers
from mner.text.product import PRODUCT
from mner.text.words import Pieces


def without(labels: list[str], types: set[str]) -> list[str]:
    """Labels of other types become O."""
    return [x if x[2:] in types else "O" for x in labels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="several are read as an ensemble")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, pieces, folder = Ensemble(args.checkpoints), Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    for corpus in (c for c in CORPORA if c not in PRODUCT):
        tweets = read_split(folder, corpus, "valid")
        types = {x[2:] for t in tweets for x in t.labels if x != "O"}
        for head, convention in enumerate(CONVENTIONS):
            read = [with_signs_cut(t) for t in tweets] if convention == "entity" else tweets
            told = [without(t, types) for t in answers(model, encode(read, head, pieces), pieces)]
            print(in_lines(f"{corpus} {convention}", both([t.labels for t in read], told), types=False), flush=True)


if __name__ == "__main__":
    main()
