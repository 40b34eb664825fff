"""What the frozen text branch makes of every source, computed once, so that an epoch of fusion training costs seconds.

    python -m mner.families.cache --text .work/text/best.pt --out .work/readings [--data FOLDER]

Besides the clean reading, *noisy* ones are kept: dropout on and words masked. On its own training tweets the text branch is nearly
always right, and a fusion that trained on clean states alone would find nothing left for a picture to say.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import torch

from mner.dropout import seed_dropout
from mner.families.fusion_data import Reading, product_rows
from mner.text.batch import Encoded, batches, collate
from mner.text.branch import TextBranch
from mner.text.data import data_folder
from mner.text.encoder import minilm_folder
from mner.text.free import free_rows, read_texts
from mner.text.product import PRODUCT, load_product
from mner.text.words import Pieces



@torch.no_grad()
def read_all(branch: TextBranch, rows: list[Encoded], pieces: Pieces, word_dropout: float = 0.0, seed: int = 0) -> list[Reading]:
    """Readings in the order of `rows`; with `word_dropout` the noisy kind."""
    branch.train(word_dropout > 0)
    random = np.random.default_rng(seed)
    out: list[Reading | None] = [None] * len(rows)
    for index in batches(rows, 64):
        batch = collate([rows[i] for i in index], pieces, word_dropout, random)
        read = branch(*batch.text())
        for j, i in enumerate(index):
            count = len(rows[i].labels)
            out[i] = Reading(read.words[j, :count].half(), read.emissions[j, :count].clone())
    branch.eval()
    return [r for r in out if r is not None]


def by_hash(keys: list[str]) -> list[str]:
    """The order in which pictures are held out, the vision student's too: by SHA-1 of the key."""
    return sorted(keys, key=lambda k: hashlib.sha1(k.encode()).hexdigest())


def sources(data: Path, pieces: Pieces, captions: int) -> Iterator[tuple[str, list[Encoded], list[str]]]:
    """Name, rows and texts of every source; of Flickr8k only the first `captions` pictures by hash, with one caption each."""
    for head, corpus in enumerate(PRODUCT):
        for split in ("train", "valid"):
            rows = product_rows(data, corpus, head, split, pieces)
            yield f"{corpus}-{split}", rows, [" ".join(r.tweet.words) for r in rows]
    for source, folder, count in (("tweets", "tweet_images", None), ("flickr8k", "flickr8k", captions)):
        every, random = read_texts(data / folder), Random(5)
        texts = {k: random.choice(every[k]) for k in by_hash(list(every))[:count]}
        rows = free_rows(texts, 0, pieces, source)
        yield source, rows, [texts[r.tweet.image_id] for r in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="checkpoints; several are averaged")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--noisy", type=int, default=2, help="noisy readings of each labelled training tweet")
    parser.add_argument("--captions", type=int, default=2500, help="so many Flickr8k pictures")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed_dropout(1)
    args.out.mkdir(parents=True, exist_ok=True)
    from mner.vision.captions import embed

    _, branch, _ = load_product(*args.text)
    pieces = Pieces(minilm_folder() / "tokenizer.json")
    for name, rows, texts in sources(data_folder(args.data), pieces, args.captions):
        readings = [read_all(branch, rows, pieces)]
        for k in range(args.noisy if name.endswith("-train") else 0):
            readings.append(read_all(branch, rows, pieces, word_dropout=0.15 * (k + 1), seed=k))
        held = {"rows": rows, "meanings": torch.from_numpy(embed(texts)), "readings": readings}
        torch.save(held, args.out / f"{name}.pt")
        print(name, len(rows), flush=True)


if __name__ == "__main__":
    main()
