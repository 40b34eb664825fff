"""Objects: what a cell answers for, and what the worker keeps."""

import unittest

import numpy as np
import torch

from mner.vision import objects
from mner.vision.detections import suppress
from mner.vision.objects import Found, Targets


def targets(*rows: tuple[float, float, float, float, float, int]) -> Targets:
    boxes, scores, classes = zip(*[(row[:4], row[4], row[5]) for row in rows], strict=True)
    return Targets(torch.tensor([boxes]), torch.tensor([scores]), torch.tensor([classes]))


class ObjectsTest(unittest.TestCase):
    def test_the_cell_at_the_centre_answers(self) -> None:
        chosen, left_out = objects.assign(targets((0.4, 0.4, 0.6, 0.6, 0.9, 3)), 5, 5)
        assert chosen[0, 12] == 0
        assert (chosen >= 0).sum() == 1
        assert not left_out.any()

    def test_the_smaller_object_wins_a_cell(self) -> None:
        chosen, _ = objects.assign(targets((0.1, 0.1, 0.9, 0.9, 0.9, 1), (0.45, 0.45, 0.55, 0.55, 0.5, 2)), 5, 5)
        assert chosen[0, 12] == 1

    def test_an_unsure_object_is_neither_right_nor_wrong(self) -> None:
        chosen, left_out = objects.assign(targets((0.4, 0.4, 0.6, 0.6, 0.2, 3)), 5, 5)
        assert (chosen < 0).all()
        assert left_out[0, 12]

    def test_a_batch_without_objects_has_a_loss(self) -> None:
        guesses = torch.zeros(2, 85, 4, 4, requires_grad=True)
        nothing = Targets(torch.zeros(2, 3, 4), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))
        objects.loss(guesses, nothing).backward()
        assert guesses.grad is not None
        assert torch.isfinite(guesses.grad).all()

    def test_boxes_stay_in_the_picture(self) -> None:
        boxes = objects.decode(torch.randn(2, 4, 10, 10) * 8)
        assert boxes.shape == (2, 100, 4)
        assert (boxes >= 0).all()
        assert (boxes <= 1).all()
        assert (boxes[..., 2:] >= boxes[..., :2]).all()

    def test_suppression_spares_other_classes(self) -> None:
        boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.95]], np.float32)
        assert suppress(boxes, np.array([0.9, 0.8, 0.7]), np.array([1, 1, 2]), 0.5, 5) == [0, 2]

    def test_the_worker_keeps_five(self) -> None:
        corner = np.arange(8)[:, None] / 10
        boxes = np.concatenate([corner, corner, corner + 0.05, corner + 0.05], 1).astype(np.float32)
        scores = np.zeros((8, 80), np.float32)
        scores[:, 7] = [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35]
        found = objects.select(boxes, scores)
        assert found.scores.tolist() == scores[1:6, 7].tolist()
        assert (found.classes == 7).all()

    def test_an_object_is_matched_once(self) -> None:
        box = np.array([[0, 0, 0.5, 0.5]], np.float32)
        twice = Found(box.repeat(2, 0), np.array([0.9, 0.8]), np.array([1, 1]))
        once = Found(box, np.array([0.9]), np.array([1]))
        assert objects.count_matches(twice, once) == (1, 2, 1)
