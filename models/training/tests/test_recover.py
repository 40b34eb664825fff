"""A bundle's text branch, read back from its int8 graph, says what the graph says but for rounding."""

import unittest
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from mner.bundle import graph_signature
from mner.export.feeds import text_feed
from mner.export.selftest import CASES, picture_feed
from mner.text.batch import encode
from mner.text.data import Tweet
from mner.text.recover import recover
from mner.text.words import Pieces

BUNDLE = Path(__file__).resolve().parents[2] / "ham-int8"


class Recovered(unittest.TestCase):
    def test_says_what_the_graph_says(self) -> None:
        model, pieces = recover(BUNDLE), Pieces(BUNDLE / "tokenizer.json")
        session = ort.InferenceSession(str(BUNDLE / "model.onnx"), providers=["CPUExecutionProvider"])
        inputs = graph_signature(BUNDLE / "model.onnx")[0]
        for words, _picture, _context in CASES[:2]:
            outside = ("O",) * len(words)
            feed = text_feed(encode([Tweet("", "", words, outside, outside)], 0, pieces), pieces)
            told = session.run(["emissions"], feed | picture_feed(inputs, False))[0]
            with torch.no_grad():
                ours = model.branch(*(torch.from_numpy(feed[n]) for n in list(feed))).emissions.numpy()
            mask = torch.ones(1, len(words), dtype=torch.bool)
            for head in range(ours.shape[2]):
                paths = [model.crf.decode(torch.from_numpy(e[:, :, head]), mask, torch.tensor([head])) for e in (ours, told)]
                self.assertEqual(*paths)
            self.assertLess(float(np.abs(ours - told).mean()), 0.1 * float(np.abs(told).mean()))


if __name__ == "__main__":
    unittest.main()
