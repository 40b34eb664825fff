"""The example of `docs/adding-a-model.md`: the page's command, as it stands there, and the rules that the page gives."""

import re
import shlex
import sys
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import torch

from mner.bundle import read_manifest
from mner.examples import toy

ROOT = Path(__file__).resolve().parents[3]


class Example(unittest.TestCase):
    def test_the_command_of_the_page_makes_the_bundle_that_the_worker_is_tested_with(self) -> None:
        page = (ROOT / "docs/adding-a-model.md").read_text(encoding="utf-8")
        command = re.search(r"^python -m mner\.examples\.toy .*$", page, re.MULTILINE)
        assert command
        words = shlex.split(command.group().replace("../../docs", str(ROOT / "docs")))
        with tempfile.TemporaryDirectory() as folder:
            words[words.index("--out") + 1] = f"{folder}/toy"
            with patch.object(sys, "argv", ["toy", *words[3:], "--epochs", "1"]):
                toy.main()
            made, kept = read_manifest(Path(folder) / "toy"), read_manifest(ROOT / "test/fixtures/own/toy")
        for field in ("family", "inputs", "outputs", "labels", "text", "vision"):
            self.assertEqual(made[field], kept[field], field)
        self.assertEqual(set(made["files"]), set(kept["files"]))

    def test_a_row_says_the_same_however_far_it_is_padded(self) -> None:
        torch.manual_seed(1)
        model = toy.Toy().eval()
        tweet = toy.Tweet("own", "", ("Anna", "met", "Ben"), ("O",) * 3, ("O",) * 3)
        chars, flags, embedding = toy.inputs_of(tweet)
        with torch.no_grad():
            alone = model(chars, flags, embedding)
            padded = model(torch.cat([chars, torch.zeros_like(chars)], 1), torch.cat([flags, torch.zeros_like(flags)], 1), embedding)
        self.assertTrue(torch.allclose(alone, padded[:, :3], atol=1e-6))


if __name__ == "__main__":
    unittest.main()
