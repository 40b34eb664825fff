"""A training that was cut off comes to the same end."""

import tempfile
import unittest
from pathlib import Path

import torch
from torch import nn

from mner.dropout import ByteDropout
from mner.fitting import Fitting


def run(out: Path, epochs: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    model = nn.Sequential(ByteDropout(0.5), nn.Linear(4, 1))
    fit = Fitting(model, [{"params": list(model.parameters()), "lr": 0.1, "weight_decay": 0.0}], 12, out)
    fit.resume()
    while fit.epoch < epochs:
        fit.begin_epoch(7)
        chance = torch.Generator().manual_seed(fit.epoch)
        for _ in range(3):
            fit.step(model(torch.randn(8, 4, generator=chance)).square().mean())
        number = fit.epoch
        fit.end_epoch(lambda: (-abs(number - 1), {"number": number}), {"config": {}})
    return {k: v.clone() for k, v in model.state_dict().items()}


class Interrupted(unittest.TestCase):
    def test_goes_on_where_it_was(self) -> None:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            whole = run(Path(one), 4)
            run(Path(two), 2)
            resumed = run(Path(two), 4)
            for name, value in whole.items():
                self.assertTrue(torch.equal(value, resumed[name]))
            self.assertEqual(torch.load(Path(two) / "best.pt")["epoch"], 1)
            self.assertEqual(torch.load(Path(two) / "final.pt")["epoch"], 3)
            kept = [torch.load(Path(x) / "final.pt")["model"]["1.weight"] for x in (one, two)]
            self.assertTrue(torch.equal(*kept))


if __name__ == "__main__":
    unittest.main()
