"""Each family's ONNX graph says what PyTorch says, in float and, near enough, in int8; a row alone as in a batch."""

import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mner.bundle import graph_signature
from mner.export.check import alone_and_together, open_session
from mner.export.family import feed_of
from mner.export.graph import trace
from mner.export.quantise import quantise
from mner.families.bga import Bga, BgaConfig
from mner.families.inputs import Example, Reader
from mner.families.ita import Ita, ItaConfig
from mner.families.mcg import Mcg, McgConfig
from mner.labels import LABELS
from mner.text.batch import encode
from mner.text.branch import TextConfig
from mner.text.encoder import EncoderConfig
from tests.test_families import WORDS, Base, tweet

# Wide enough for some matrices to become int8.
WIDE = TextConfig(encoder=EncoderConfig(width=128, layers=2, heads=4, inner=256), char_width=8, char_filters=8, features=16)


class Graphs(Base):
    def graph(self, kind: Any, c: Any) -> None:
        torch.manual_seed(3)
        model = kind(WIDE, c).eval()
        if hasattr(model, "emit"):
            nn.init.normal_(model.emit.weight, 0, 0.3)
        reader = Reader(kind.INPUTS, self.pieces, self.near)
        more = encode([tweet("Oakland " * n, "B-LOC " * n) for n in range(1, 31)], 1, self.pieces)
        examples = [Example(self.rows[0], (self.store, "p0"), "a man with a ball"), Example(self.rows[1]), *(Example(r) for r in more)]
        with tempfile.TemporaryDirectory() as folder:
            exact, target = Path(folder) / "exact.onnx", Path(folder) / "int8.onnx"
            example = {n: torch.from_numpy(v) for n, v in feed_of(reader, examples[:3], kind.INPUTS).items()}
            trace(model, example, {"emissions": ("batch", "words", 2, len(LABELS))}, exact)
            inputs, outputs = graph_signature(exact)
            self.assertEqual(set(inputs), set(kind.INPUTS))
            self.assertEqual(outputs["emissions"]["shape"], ["batch", "words", 2, 9])
            feed = feed_of(reader, examples, kind.INPUTS)
            with torch.no_grad():
                wanted = model(*(torch.from_numpy(feed[n]) for n in kind.INPUTS))[0].numpy()
            mask = feed["first"] > 0
            session = open_session(exact)
            self.assertLess(float(np.abs(session.run(None, feed)[0] - wanted)[mask].max()), 1e-4)
            self.assertLess(alone_and_together(session, examples, lambda some: feed_of(reader, some, kind.INPUTS)), 1e-4)
            self.assertGreater(quantise(exact, target, [feed_of(reader, [e], kind.INPUTS) for e in examples]), 6)
            told = open_session(target).run(None, feed)[0]
            self.assertLess(float(np.abs(told - wanted)[mask].mean()), 0.1 * float(np.abs(wanted[mask]).mean()))

    def test_ita(self) -> None:
        self.graph(Ita, ItaConfig())

    def test_mcg(self) -> None:
        self.graph(Mcg, McgConfig(width=128, heads=4, vectors=len(WORDS) + 1, vector_width=8))

    def test_bga(self) -> None:
        self.graph(Bga, BgaConfig(width=128, heads=4, summary=3))


del Base  # or unittest runs it here too

if __name__ == "__main__":
    unittest.main()
