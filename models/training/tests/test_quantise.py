"""A small float graph becomes int8 and says the same: matrices that share an uneven input share its code, divisors included."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from mner.export.quantise import quantise

WIDTH, OUT = 128, 160


class TwoMatrices(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(1)
        self.x = random.normal(size=(64, 3, WIDTH)).astype(np.float32)
        self.x[..., 7] *= 100  # one channel as they stand in a transformer's states
        light = np.ones((WIDTH, 1), np.float32)
        light[7] /= 100
        constants = {name: (random.normal(size=(WIDTH, OUT)) * light).astype(np.float32) for name in ("first", "second")}
        constants["bias"] = random.normal(size=OUT).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "first"], ["a"]),
                helper.make_node("Add", ["a", "bias"], ["with_bias"]),
                helper.make_node("MatMul", ["x", "second"], ["without"]),
            ],
            "two",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, WIDTH])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, OUT]) for name in ("with_bias", "without")],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.exact, self.target = Path(folder.name) / "exact.onnx", Path(folder.name) / "int8.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(self.exact))
        self.count = quantise(self.exact, self.target, [{"x": self.x[:32]}])

    def test_the_input_is_evened_and_coded_once(self) -> None:
        kinds = [n.op_type for n in onnx.load(str(self.target)).graph.node]
        self.assertEqual(self.count, 2)
        self.assertEqual(sorted(kinds), ["MatMulIntegerToFloat"] * 2 + ["Mul", "QuantizeLinear"])

    def test_it_says_what_the_float_graph_says(self) -> None:
        unseen = {"x": self.x[32:]}
        exact, coded = (ort.InferenceSession(str(p), providers=["CPUExecutionProvider"]).run(None, unseen) for p in (self.exact, self.target))
        for true, told in zip(exact, coded, strict=True):
            self.assertLess(float(np.sqrt(np.square(true - told).mean())), 0.03 * float(true.std()))


if __name__ == "__main__":
    unittest.main()
