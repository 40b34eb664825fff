"""For a training machine that reaches nothing: what must travel there, and what must come back, made small.

    python -m mner.parcel pack .parcel/text                       # here: texts and MiniLM, 26 MB
    python -m mner.parcel unpack .parcel/text                     # there: .work/data and .work/minilm
    export MNER_TEST_DATA=.work/data MNER_MINILM=.work/minilm     # there

    python -m mner.parcel pictures .work/bridged .parcel/bridged  # here: 25 MB a corpus, one parcel each; there `unpack` likewise
    python -m mner.parcel split .work/student/best.pt OUT         # there: two files of at most 15 MB
    python -m mner.parcel join OUT/best.pt.* --out .work/student/best.pt        # here

Travelling matrices have eight bits and a scale for each row, which a training that starts from them does not notice; checkpoints that come back
have sixteen, and leave out the word embeddings, which are MiniLM's own.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mner.text.data import data_folder
from mner.text.encoder import Encoder, EncoderConfig, minilm_folder
from mner.text.free import read_texts

PIECE = 15 * 1000 * 1000
WORDS = "encoder.words.weight"
TEXTS = ("twitter2015", "twitter2017", "broad_twitter", "wnut17", "tweebank_ner")
WHOLE = ("ids", "boxes", "object_classes", "object_scores", "tags", "tag_scores")

Arrays = dict[str, NDArray[Any]]


def shrink(values: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """[…,d] → eight bits, and a scale for each row […,1]"""
    values = values.astype(np.float32)
    scale = np.maximum(np.abs(values).max(-1, keepdims=True) / 127, 1e-12).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def shrink_all(arrays: Arrays, keep: tuple[str, ...] = ()) -> Arrays:
    """Arrays of two or more dimensions in eight bits, except those named; `grow_all` undoes it."""
    out: Arrays = {}
    for name, values in arrays.items():
        if values.ndim < 2 or name in keep:
            out[name] = values
        else:
            out[f"{name}|s8"], out[f"{name}|scale"] = shrink(values)
    return out


def grow_all(arrays: Arrays) -> Arrays:
    out = {n: v for n, v in arrays.items() if "|" not in n}
    small = [n.removesuffix("|s8") for n in arrays if n.endswith("|s8")]
    return out | {n: arrays[f"{n}|s8"].astype(np.float32) * arrays[f"{n}|scale"] for n in small}


def pack(target: Path, data: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in TEXTS:
        (target / "data" / name).mkdir(parents=True, exist_ok=True)
        for path in (data / name).iterdir():
            shutil.copyfile(path, target / "data" / name / path.name)
    (target / "data" / "tweet_images").mkdir(parents=True, exist_ok=True)
    with tarfile.open(target / "data" / "tweet_images" / "train.tar", "w:gz") as tar:  # the texts alone
        for key, texts in read_texts(data / "tweet_images").items():
            content = json.dumps({"text": texts[0]}).encode()
            info = tarfile.TarInfo(f"{key}.json")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    encoder = Encoder(EncoderConfig())
    encoder.load_minilm(minilm_folder())
    np.savez_compressed(target / "minilm.npz", **shrink_all({n: p.numpy() for n, p in encoder.state_dict().items()}))
    shutil.copyfile(minilm_folder() / "tokenizer.json", target / "tokenizer.json")


def pack_pictures(source: Path, target: Path) -> None:
    for path in sorted(source.glob("*.npz")):
        with np.load(path) as held:
            arrays = {n: held[n] for n in held.files}
        folder = Path(f"{target}-{path.stem}") / source.name
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / path.name, **shrink_all(arrays, WHOLE))


def unpack(parcel: Path, work: Path) -> None:
    """Everything of a parcel to its place below `work`."""
    if (parcel / "data").exists():
        shutil.copytree(parcel / "data", work / "data", dirs_exist_ok=True)
    if (parcel / "minilm.npz").exists():
        (work / "minilm").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parcel / "tokenizer.json", work / "minilm" / "tokenizer.json")
        with np.load(parcel / "minilm.npz") as held:
            state = {n: torch.from_numpy(np.asarray(v)) for n, v in grow_all({n: held[n] for n in held.files}).items()}
        torch.save(state, work / "minilm" / "encoder.pt")
    for path in (p for kind in ("bridged", "features") for p in (parcel / kind).glob("*.npz")):
        with np.load(path) as held:
            arrays = grow_all({n: held[n] for n in held.files})
        (work / path.parent.name).mkdir(parents=True, exist_ok=True)
        np.savez(work / path.parent.name / path.name, **{n: v.astype(np.float16) if n in ("grid", "embedding") else v for n, v in arrays.items()})


def split(checkpoint: Path, target: Path) -> list[Path]:
    """A checkpoint in half precision and without the word embeddings, in pieces."""
    saved = torch.load(checkpoint, weights_only=False, map_location="cpu")
    saved["model"] = {n: v.half() if v.is_floating_point() else v for n, v in saved["model"].items() if not n.endswith(WORDS)}
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    content = buffer.getvalue()
    target.mkdir(parents=True, exist_ok=True)
    pieces = []
    for i, begin in enumerate(range(0, len(content), PIECE)):
        pieces.append(target / f"{checkpoint.parent.name}-{checkpoint.name}.{i}")
        pieces[-1].write_bytes(content[begin : begin + PIECE])
    return pieces


def join(pieces: list[Path], target: Path) -> None:
    saved = torch.load(io.BytesIO(b"".join(p.read_bytes() for p in sorted(pieces))), weights_only=False)
    state: dict[str, Tensor] = {n: v.float() if v.is_floating_point() else v for n, v in saved["model"].items()}
    encoder = Encoder(EncoderConfig())
    encoder.load_minilm(minilm_folder())
    place = next(n for n in state if n.endswith("encoder.positions.weight")).removesuffix("encoder.positions.weight")
    state[f"{place}{WORDS}"] = encoder.words.weight.detach()
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**saved, "model": state}, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "pictures", "unpack", "split", "join"))
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(".work"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.what == "pack":
        pack(args.paths[0], data_folder(args.data))
    elif args.what == "pictures":
        pack_pictures(args.paths[0], args.paths[1])
    elif args.what == "unpack":
        for parcel in args.paths:
            unpack(parcel, args.work)
    elif args.what == "split":
        for piece in split(args.paths[0], args.paths[1]):
            print(piece, piece.stat().st_size)
    else:
        join(args.paths, args.out)


if __name__ == "__main__":
    main()
