"""Vision bundles: the signature of `docs/bundles.md`, and a row that never depends on its neighbours."""

import unittest
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mner.bundle import read_manifest
from mner.vision.runner import Runner
from mner.vision.store import REPOSITORY

BUNDLES = [REPOSITORY / "test/fixtures/bundles/vision-tiny", REPOSITORY / "models/vision-int8"]


class BundleTest(unittest.TestCase):
    def bundles(self) -> Iterator[Path]:
        for bundle in BUNDLES:
            if (bundle / "manifest.json").exists():
                with self.subTest(bundle.name):
                    yield bundle

    def test_the_manifest_tells_the_shapes(self) -> None:
        for bundle in self.bundles():
            outputs = read_manifest(bundle)["outputs"]
            cells = outputs["boxes"]["shape"][1]
            self.assertEqual(
                {name: (entry["type"], entry["shape"][1:]) for name, entry in outputs.items()},
                {
                    "grid": ("float16", [25, 192]),
                    "embedding": ("float16", [384]),
                    "tags": ("float16", [1001]),
                    "boxes": ("float32", [cells, 4]),
                    "object_scores": ("float32", [cells, 80]),
                },
            )
            self.assertEqual(len((bundle / "tags.txt").read_text().splitlines()), 1001)
            self.assertEqual(len((bundle / "objects.txt").read_text().splitlines()), 80)

    def test_a_row_does_not_depend_on_its_neighbours(self) -> None:
        """To the last bit in the int8 graph, whose sums are whole numbers; the fixture is in floating point."""
        for bundle in self.bundles():
            slack = 0.0 if "int8" in bundle.name else 1e-5
            runner = Runner(bundle / "model.onnx")
            mosaic = np.random.RandomState(0).randint(0, 256, (5, 8, 8, 3))
            pixels = mosaic.repeat(runner.side // 8, 1).repeat(runner.side // 8, 2).astype(np.uint8)
            together = runner.run(pixels)
            for row in range(len(pixels)):
                for name, alone in runner.run(pixels[row : row + 1]).items():
                    difference = np.abs(alone[0].astype(np.float32) - together[name][row].astype(np.float32)).max()
                    self.assertLessEqual(difference, slack, name)

    def test_outputs_are_in_range(self) -> None:
        for bundle in self.bundles():
            runner = Runner(bundle / "model.onnx")
            out = runner.run(np.random.RandomState(1).randint(0, 256, (3, runner.side, runner.side, 3)).astype(np.uint8))
            np.testing.assert_allclose(np.linalg.norm(out["embedding"].astype(np.float32), axis=1), 1, atol=2e-3)
            np.testing.assert_allclose(out["tags"].astype(np.float32).sum(1), 1, atol=2e-2)
            for name in ("boxes", "object_scores"):
                self.assertGreaterEqual(out[name].min(), 0)
                self.assertLessEqual(out[name].max(), 1)


if __name__ == "__main__":
    unittest.main()
