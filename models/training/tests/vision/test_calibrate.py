"""Calibration: every class's best threshold lands on the worker's."""

import unittest

import torch

from mner.vision.calibrate import best_threshold, lifted
from mner.vision.objects import LEAST_SCORE


class CalibrateTest(unittest.TestCase):
    def test_a_lift_moves_the_best_threshold_to_the_workers(self) -> None:
        threshold = 0.08
        lift = LEAST_SCORE / (1 - LEAST_SCORE) * (1 - threshold) / threshold
        self.assertAlmostEqual(float(lifted(torch.tensor(threshold), torch.tensor(lift))), LEAST_SCORE, places=5)

    def test_no_lift_changes_nothing(self) -> None:
        scores = torch.rand(7, 80)
        torch.testing.assert_close(lifted(scores, torch.ones(80)), scores)

    def test_the_best_threshold_keeps_the_right_ones(self) -> None:
        verdicts = [(0.9, True)] * 10 + [(0.5, True)] * 10 + [(0.1, False)] * 50
        self.assertEqual(best_threshold(verdicts, wanted=20), 0.5)

    def test_a_rare_or_hopeless_class_has_no_threshold(self) -> None:
        self.assertIsNone(best_threshold([(0.9, True)], wanted=3))
        self.assertIsNone(best_threshold([(0.9, False)] * 40, wanted=20))


if __name__ == "__main__":
    unittest.main()
