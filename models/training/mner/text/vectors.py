"""Word vectors of tweets, trained here: skip-gram with negative samples (Mikolov et al., NeurIPS 2013), for the semantic augmentation of MCG.

    python -m mner.text.vectors --out .work/vectors

Texts: the training splits of all corpora and the tweets of `tweet_images`; no validation split and no test split. Words are the forms of
`docs/bundles.md`, "Neighbours"; names of accounts are left out, since the list of words is published with the model. Writes `vectors.npz` (`words` [W], `vectors` [W,200]) and `neighbours.bin`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mner.fitting import add_machine_options, prepare_machine
from mner.text.data import CORPORA, data_folder, read_split
from mner.text.free import TOKEN, read_texts
from mner.text.neighbours import FILE, form_of, nearest, write_neighbours

WINDOW, NEGATIVE, BATCH = 4, 8, 4096


def forms_of(words: Sequence[str]) -> list[str]:
    """Forms of a text's words, without what follows an `@`."""
    accounts = [w[0] in "@＠" and len(w) > 1 or before.endswith(("@", "＠")) for before, w in zip(("", *words), words, strict=False)]
    return [form_of(w) for w, account in zip(words, accounts, strict=True) if not account]


def sentences(data: Path) -> Iterator[list[str]]:
    """Forms of the words of each text."""
    for corpus in CORPORA:
        for tweet in read_split(data, corpus, "train"):
            yield forms_of(tweet.words)
    for texts in read_texts(data / "tweet_images").values():
        yield forms_of(TOKEN.findall(texts[0]))


def pairs_of(texts: list[NDArray[np.int64]], keep: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Word and context, [N,2]: frequent words are left out now and then, windows are of random size."""
    found = []
    for text in texts:
        some = text[random.random(len(text)) < keep[text]]
        reach = random.integers(1, WINDOW + 1, len(some))
        for distance in range(1, WINDOW + 1):
            if len(some) > distance:
                left, right = np.arange(len(some) - distance), np.arange(distance, len(some))
                for a, b in ((left, right), (right, left)):
                    near = reach[a] >= distance
                    found.append(np.stack([some[a[near]], some[b[near]]], 1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


class SkipGram(nn.Module):
    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.of = nn.Embedding(words, width)
        self.beside = nn.Embedding(words, width)
        nn.init.uniform_(self.of.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.beside.weight)

    def forward(self, word: Tensor, beside: Tensor, noise: Tensor) -> Tensor:
        """word, beside [N], noise [M], shared by the batch → loss"""
        own = self.of(word)
        true = (own * self.beside(beside)).sum(1)
        false = own @ self.beside(noise).T
        return -F.logsigmoid(true).mean() - F.logsigmoid(-false).mean() * NEGATIVE


def train_vectors(texts: list[list[str]], width: int, most: int, epochs: int, seed: int, device: torch.device) -> tuple[list[str], NDArray[np.float32]]:
    """The `most` most frequent words that stand there twice, and their vectors."""
    counts = Counter(w for text in texts for w in text)
    words = [w for w, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if n > 1][:most]
    place = {w: i for i, w in enumerate(words)}
    coded = [np.array([place[w] for w in text if w in place], np.int64) for text in texts]
    often = np.array([counts[w] for w in words], np.float64)
    keep = np.minimum(1, np.sqrt(1e-3 * often.sum() / often))
    random = np.random.default_rng(seed)
    noise = torch.from_numpy(often**0.75).float()
    model = SkipGram(len(words), width).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(epochs):
        pairs = torch.from_numpy(random.permutation(pairs_of(coded, keep, random)))
        total = 0.0
        for part in pairs.split(BATCH):
            part = part.to(device)
            drawn = torch.multinomial(noise, 256, replacement=True).to(device)
            loss = model(part[:, 0], part[:, 1], drawn)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        print(f"epoch {epoch} {len(pairs)} pairs, loss {total / max(1, len(pairs)):.3f}", flush=True)
    return words, model.of.weight.detach().cpu().numpy().astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=200)
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    device = prepare_machine(args)
    args.out.mkdir(parents=True, exist_ok=True)
    texts = list(sentences(data_folder(args.data)))
    words, vectors = train_vectors(texts, args.width, args.words, args.epochs, args.seed, device)
    np.savez(args.out / "vectors.npz", words=np.array(words), vectors=vectors)
    table = nearest(words, vectors)
    write_neighbours(args.out / FILE, table)
    for word in ("lebron", "chicago", "google", "concert", "#nba", "trump"):
        rows, _ = table.of(word)
        print(word, [words[r - 1] for r in rows if r], flush=True)


if __name__ == "__main__":
    main()
