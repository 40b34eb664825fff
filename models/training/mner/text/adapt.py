"""Adapt MiniLM to tweets by masked-language modelling (Devlin et al., NAACL 2019; Gururangan et al., ACL 2020).

    python -m mner.text.adapt --out .work/adapted --epochs 4
    python -m mner.text.train --encoder .work/adapted/final.pt --out .work/text …

Texts: the training splits of all corpora and the tweets of `tweet_images`, without their labels. Whole words are masked, 15 % of them; the masked
pieces are read off the frozen word embeddings, so the encoder alone learns. It is the text branch's encoder with nothing added to its
embeddings, and as there, its last layer runs on the wanted pieces alone.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mner.fitting import Fitting, add_machine_options, prepare_machine
from mner.text.batch import Encoded, batches, collate, encode
from mner.text.data import CORPORA, data_folder, read_split
from mner.text.encoder import Encoder, EncoderConfig, minilm_folder
from mner.text.free import free_rows, read_texts
from mner.text.words import Pieces

SHARE = 0.15


class MaskedModel(nn.Module):
    def __init__(self, c: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(c)
        self.transform = nn.Linear(c.width, c.width)
        self.norm = nn.LayerNorm(c.width)
        self.bias = nn.Parameter(torch.zeros(c.vocabulary))

    def loss(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor, wanted: Tensor) -> Tensor:
        """places [B,M] of the masked pieces (0 on the padding), wanted [B,M] what stood there (-100 on the padding)"""
        nothing = torch.zeros(1, 1, 1, device=input_ids.device)
        states = self.encoder(input_ids, attention_mask, nothing, places)[wanted >= 0]
        guess = F.linear(self.norm(F.gelu(self.transform(states))), self.encoder.words.weight, self.bias)
        return F.cross_entropy(guess.float(), wanted[wanted >= 0])


def mask_words(rows: list[Encoded], pieces: Pieces, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of `loss`: of the chosen words' pieces 80 % become `[MASK]`, 10 % another piece, 10 % stay. At least one word of each row is chosen."""
    batch = collate(rows, pieces)
    ids, of = batch.input_ids.numpy().copy(), batch.word_of.numpy()
    places, wanted = [], []
    for i, row in enumerate(rows):
        count = len(row.labels)
        chosen = np.flatnonzero(random.random(count) < SHARE)
        chosen = chosen if len(chosen) else random.integers(0, count, 1)
        at = np.flatnonzero(np.isin(of[i], chosen + 1))
        places.append(torch.from_numpy(at))
        wanted.append(torch.from_numpy(ids[i, at].copy()))
        draw = random.random(len(at))
        ids[i, at[draw < 0.8]] = pieces.mask
        swapped = at[(draw >= 0.8) & (draw < 0.9)]
        ids[i, swapped] = random.integers(999, pieces.tokenizer.get_vocab_size(), len(swapped))
    pad = torch.nn.utils.rnn.pad_sequence
    return torch.from_numpy(ids), batch.attention_mask, pad(places, batch_first=True), pad(wanted, batch_first=True, padding_value=-100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-4)
    args = parser.parse_args()
    device = prepare_machine(args)
    pieces, data = Pieces(minilm_folder() / "tokenizer.json"), data_folder(args.data)
    rows = [r for c in CORPORA for r in encode(read_split(data, c, "train"), 0, pieces)]
    rows += free_rows({k: t[0] for k, t in read_texts(data / "tweet_images").items()}, 0, pieces, "tweets")
    kept = Random(0).sample(range(len(rows)), len(rows) // 50)  # to see how well it guesses texts that it does not learn
    held, rows = [rows[i] for i in kept], [r for i, r in enumerate(rows) if i not in set(kept)]

    model = MaskedModel(EncoderConfig())
    model.encoder.load_minilm(minilm_folder())
    model.encoder.words.weight.requires_grad_(False)
    model.to(device)
    groups = [{"params": [p for p in model.parameters() if p.requires_grad], "lr": args.rate, "weight_decay": 0.01}]
    fit = Fitting(model, groups, args.epochs * math.ceil(len(rows) / args.batch), args.out)
    fit.resume()

    @torch.no_grad()
    def judge() -> tuple[float, dict[str, float]]:
        model.eval()
        losses = []
        for index in batches(held, 64):
            parts = mask_words([held[i] for i in index], pieces, np.random.default_rng(index[0]))
            losses.append(float(model.loss(*(p.to(device) for p in parts))))
        return 100 - float(np.mean(losses)), {"loss": float(np.mean(losses))}

    while fit.epoch < args.epochs:
        random, choice = np.random.default_rng([args.seed, fit.epoch]), Random(args.seed * 1000 + fit.epoch)

        def loss_of(index: list[int], random: np.random.Generator = random) -> Tensor:
            return model.loss(*(p.to(device) for p in mask_words([rows[i] for i in index], pieces, random)))

        fit.run_epoch(args.seed, batches(rows, args.batch, choice), loss_of, judge, {}, lambda found: f"held out {found['loss']:.3f}")


if __name__ == "__main__":
    main()
