"""A model of one's own, from training to a bundle that the worker runs (`docs/adding-a-model.md`).

    python -m mner.examples.toy --data ../../docs/examples/labelled.conll --out ../toy

It reads each word's characters and flags, its two neighbours in the tweet, and the picture as a whole. It learns in a few seconds, and little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from mner.bundle import commit_of, write_manifest
from mner.crf import Crf
from mner.export.manifest import heads_table, text_table, vision_table
from mner.export.selftest import write_selftest
from mner.labels import CONVENTIONS, LABEL_ID, LABELS
from mner.text.data import Tweet, read_conll
from mner.text.words import CHAR_CODES, CHARS_PER_WORD, FLAGS, char_codes, flags

EMBEDDING = 384  # what the vision bundle gives
WIDTH = 16


class Toy(nn.Module):
    """The names of `forward`'s arguments are those of docs/bundles.md: the worker feeds by name."""

    def __init__(self) -> None:
        super().__init__()
        self.chars = nn.Embedding(CHAR_CODES, 8, padding_idx=0)
        self.letters = nn.Conv1d(8, 16, 3, padding=1)
        self.word = nn.Linear(16 + FLAGS, WIDTH)
        self.around = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.picture = nn.Linear(EMBEDDING, WIDTH, bias=False)  # without a picture its embedding is zero, and so is this
        nn.init.zeros_(self.picture.weight)  # nobody trains it here: it has no say
        self.output = nn.Linear(WIDTH, len(CONVENTIONS) * len(LABELS))

    def forward(self, chars: Tensor, flags: Tensor, embedding: Tensor) -> Tensor:
        """chars [B,T,16], flags [B,T,26], embedding [B,384] → emissions [B,T,heads,labels]"""
        there = (chars[:, :, :1] > 0).float()  # a word has a character: what is beyond the last one is padding
        letters = self.letters(self.chars(chars.reshape(-1, CHARS_PER_WORD)).transpose(1, 2)).amax(2)
        words = torch.cat([letters.reshape(chars.shape[0], chars.shape[1], 16), flags], 2)
        words = torch.relu(self.word(words)) * there  # padding is zero, as beyond the edge: a row says the same in every batch
        states = torch.relu(self.around(words.transpose(1, 2)).transpose(1, 2) + self.picture(embedding.float())[:, None])
        return self.output(states).reshape(chars.shape[0], chars.shape[1], len(CONVENTIONS), len(LABELS))


def inputs_of(tweet: Tweet) -> tuple[Tensor, Tensor, Tensor]:
    """One tweet without its picture, as the worker would feed it."""
    chars = torch.tensor([[char_codes(word) for word in tweet.words]])
    return chars, torch.tensor([flags(tweet.words)]), torch.zeros(1, EMBEDDING, dtype=torch.float16)


def train(tweets: list[Tweet], epochs: int) -> tuple[Toy, Crf]:
    """One tweet a step; both heads learn the same, so that either convention for @name may be asked for."""
    torch.manual_seed(1)
    model, crf = Toy(), Crf(len(CONVENTIONS))
    optimiser = torch.optim.Adam([*model.parameters(), *crf.parameters()], 3e-3)
    heads = torch.arange(len(CONVENTIONS))
    for epoch in range(epochs):
        total = 0.0
        for tweet in tweets:
            emissions = model(*inputs_of(tweet))[0].transpose(0, 1)  # [heads,T,labels]
            labels = torch.tensor([[LABEL_ID[label] for label in tweet.targets]] * len(CONVENTIONS))
            loss = crf.nll(emissions, labels, torch.ones_like(labels, dtype=torch.bool), heads).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}: loss {total / len(tweets):.3f}", flush=True)
    return model.eval(), crf


def export(model: Toy, path: Path) -> None:
    """One self-contained graph. What differs from batch to batch is left open by name; all else is a number."""
    example = (torch.ones(2, 3, CHARS_PER_WORD, dtype=torch.int64), torch.zeros(2, 3, FLAGS), torch.zeros(2, EMBEDDING, dtype=torch.float16))
    open_axes = {"chars": {0: "batch", 1: "words"}, "flags": {0: "batch", 1: "words"}, "embedding": {0: "batch"}, "emissions": {0: "batch", 1: "words"}}
    torch.onnx.export(model, example, str(path), input_names=["chars", "flags", "embedding"], output_names=["emissions"], dynamic_axes=open_axes, dynamo=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--vision", type=Path, default=Path("../vision-int8"))
    args = parser.parse_args()
    model, crf = train(read_conll(args.data, "own"), args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    export(model, args.out / "model.onnx")
    write_selftest(args.out, "ner", "fp32")
    write_manifest(
        args.out,
        {
            "name": args.out.name,
            "family": "toy",
            "kind": "ner",
            "version": "0.1.0",
            "precision": "fp32",
            "vision": vision_table(args.vision),
            "text": text_table(),
            "labels": list(LABELS),
            "heads": heads_table(crf),
            "training": {"data": [args.data.name], "commit": commit_of(Path(__file__).parent), "seed": 1, "recipe": "python -m mner.examples.toy"},
            "scores": {},
            "licence": "Apache-2.0",
            "credit": "trained on the made-up tweets of docs/examples/labelled.conll",
        },
    )
    print(f"{args.out}: {sum(file.stat().st_size for file in args.out.iterdir())} bytes")


if __name__ == "__main__":
    main()
