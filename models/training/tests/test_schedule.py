"""A campaign runs in order, side by side where it may, goes on after an interruption, and its parcels lose little."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from mner.parcel import grow_all, join, shrink_all, split
from mner.schedule import Campaign, Step, steps
from mner.text.branch import TextConfig
from mner.text.encoder import minilm_folder
from mner.text.train import Tagger


class Campaigns(unittest.TestCase):
    def test_order_resumption_and_failure(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            every = [Step("b", "this {work}", ("a",)), Step("a", "this {work}"), Step("broken", "no.such.module"), Step("c", "this", ("broken",))]
            every.append(Step("unseen", "this", wants="bridged/none.npz"))
            campaign = Campaign(work, every)  # `this` prints a poem and ends well
            self.assertEqual([s.name for s in campaign.ready()], ["a", "broken"])
            (work / "done" / "a").touch()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                self.assertFalse(campaign.run(120, 2))
            self.assertIn("broken: failed with 1", said.getvalue())
            self.assertEqual(campaign.failed, {"broken"})
            self.assertTrue(campaign.done("b"))
            self.assertEqual([s.name for s in campaign.left()], ["c"])
            again = Campaign(work, every)
            self.assertEqual([s.name for s in again.ready()], ["broken"])

    def test_every_step_waits_for_one_that_exists(self) -> None:
        names = {s.name for s in steps()}
        for step in steps():
            self.assertLessEqual(set(step.after), names)


class Parcels(unittest.TestCase):
    def test_eight_bits(self) -> None:
        random = np.random.default_rng(1)
        arrays = {"w": random.normal(size=(5, 64)).astype(np.float32), "b": np.arange(3.0), "ids": np.array(["x", "y"])}
        back = grow_all(shrink_all(arrays))
        self.assertLess(float(np.abs(back["w"] - arrays["w"]).max()), float(np.abs(arrays["w"]).max()) / 127)
        self.assertEqual(back["ids"].tolist(), ["x", "y"])

    def test_a_checkpoint_comes_back(self) -> None:
        config = TextConfig()
        model = Tagger(config)
        model.branch.encoder.load_minilm(minilm_folder())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "student" / "best.pt"
            path.parent.mkdir()
            torch.save({"config": config.to_json(), "model": model.state_dict()}, path)
            pieces = split(path, Path(folder) / "out")
            self.assertLessEqual(max(p.stat().st_size for p in pieces), 15_000_000)
            join(pieces, Path(folder) / "back.pt")
            back = torch.load(Path(folder) / "back.pt", weights_only=False)
            for name, value in model.state_dict().items():
                self.assertTrue(torch.allclose(back["model"][name], value, rtol=2e-3, atol=1e-6), name)


if __name__ == "__main__":
    unittest.main()
