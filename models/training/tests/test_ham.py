"""What the fusion promises: no picture, no change; padding and neighbours change nothing."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

from mner.attention import spelled_out
from mner.export.check import open_session
from mner.export.graph import INPUTS, OUTPUTS, example_inputs, export_graph, trace
from mner.export.half import halve
from mner.families.ham import Ham, HamConfig, cell_shares
from mner.families.plain import Plain
from mner.families.train_ham import calibration_gap
from mner.text.branch import TextConfig
from mner.text.encoder import EncoderConfig
from mner.vision.metrics import area_under_curve


class Gate(unittest.TestCase):
    def test_its_measures(self) -> None:
        self.assertEqual(area_under_curve(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.8])), 0.875)  # of four pairs three are in order and one is a tie
        honest = ([0.75] * 3 + [0.25], [0.75] + [0.25] * 3)
        self.assertEqual(calibration_gap(*honest), 0.0)
        self.assertEqual(calibration_gap([1.0, 0.0], [1.0, 0.0]), 0.5)


class Fusion(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        self.c = HamConfig(width=16, heads=2)
        encoder = EncoderConfig(vocabulary=100, width=24, layers=2, heads=4, inner=48, positions=64)
        self.model = Ham(TextConfig(encoder=encoder, char_width=8, char_filters=8, features=16), self.c).eval()
        torch.nn.init.normal_(self.model.fusion.emit.weight)

    def test_without_a_picture_the_text_branch_stands(self) -> None:
        inputs = list(example_inputs(self.c, 100))
        inputs[6] = torch.zeros_like(inputs[6])
        with torch.no_grad():
            emissions, relevance, regions = self.model(*inputs)
            self.assertTrue(torch.equal(emissions, self.model.text(*inputs[:6]).emissions))
        self.assertEqual(float(relevance.abs().sum() + regions.abs().sum()), 0.0)

    def test_so_it_does_in_the_exported_graphs_to_the_bit(self) -> None:
        inputs = dict(zip(INPUTS, example_inputs(self.c, 100), strict=True))
        plain = Plain(self.model.text.config)
        plain.text = self.model.text
        with tempfile.TemporaryDirectory() as folder:
            whole, branch = Path(folder) / "ham.onnx", Path(folder) / "text.onnx"
            export_graph(self.model, self.c, 100, whole)
            trace(plain, {n: inputs[n] for n in Plain.INPUTS}, {"emissions": ("batch", "words", 2, 9)}, branch)
            feed = {n: v.numpy() for n, v in inputs.items()} | {"image": np.zeros(3, np.float32)}  # all else as if there were one
            emissions, relevance, regions = open_session(whole).run(None, feed)
            alone = open_session(branch).run(None, {n: feed[n] for n in Plain.INPUTS})[0]
        self.assertTrue(np.array_equal(emissions, alone))
        self.assertEqual(float(np.abs(relevance).sum() + np.abs(regions).sum()), 0.0)

    def test_half_precision_says_the_same_through_the_same_inputs_and_outputs(self) -> None:
        feed = {n: v.numpy() for n, v in zip(INPUTS, example_inputs(self.c, 100), strict=True)}
        with tempfile.TemporaryDirectory() as folder:
            exact, half = Path(folder) / "exact.onnx", Path(folder) / "half.onnx"
            with spelled_out():
                export_graph(self.model, self.c, 100, exact)
            halve(exact, half)
            graph = onnx.load(str(half)).graph
            self.assertEqual({n.domain for n in graph.node}, {""})  # nothing that WebGPU lacks
            weights = {t.name: t.data_type for t in graph.initializer}
            one, other = open_session(exact), open_session(half)
            self.assertEqual([(i.name, i.type) for i in one.get_inputs()], [(i.name, i.type) for i in other.get_inputs()])
            self.assertGreater(sum(kind == onnx.TensorProto.FLOAT16 for kind in weights.values()), 40)
            for name, true, told in zip(OUTPUTS, one.run(None, feed), other.run(None, feed), strict=True):
                self.assertEqual(told.dtype, np.float32, name)
                np.testing.assert_allclose(told, true, atol=0.02, err_msg=name)

    def test_a_picture_changes_something(self) -> None:
        inputs = example_inputs(self.c, 100)
        with torch.no_grad():
            self.assertFalse(torch.allclose(self.model(*inputs)[0], self.model.text(*inputs[:6]).emissions))

    def test_padding_changes_nothing(self) -> None:
        inputs = example_inputs(self.c, 100)
        longer = list(inputs)
        for i in range(3):
            longer[i] = torch.cat([inputs[i], torch.zeros(3, 4, dtype=torch.int64)], 1)
        for i in range(3, 6):
            longer[i] = torch.cat([inputs[i], torch.zeros_like(inputs[i][:, :3])], 1)
        with torch.no_grad():
            short, padded = self.model(*inputs), self.model(*longer)
        self.assertTrue(torch.allclose(short[0], padded[0][:, :5], atol=1e-5))
        self.assertTrue(torch.allclose(short[1], padded[1], atol=1e-6))

    def test_cell_shares(self) -> None:
        whole = cell_shares(torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]]]), 25)[0]
        self.assertTrue(torch.allclose(whole[0], torch.full((25,), 0.04)))
        self.assertAlmostEqual(float(whole[1, 0]), 1.0, places=5)
        self.assertEqual(float(whole[2].sum()), 0.0)


if __name__ == "__main__":
    unittest.main()
