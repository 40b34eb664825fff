"""Views: pixels and boxes must go through a crop together."""

import unittest

import torch

from mner.vision.objects import Targets
from mner.vision.views import cut, sample_crops, through_crop


class ViewsTest(unittest.TestCase):
    def test_crops_stay_within_their_view(self) -> None:
        boxes = torch.tensor([[0.2, 0.3, 0.7, 0.9]]).repeat(64, 1)
        crops = sample_crops(boxes, torch.zeros(64, dtype=torch.bool), several=True)
        assert (crops[:, :2] >= boxes[:, :2] - 1e-6).all()
        assert (crops[:, 2:] <= boxes[:, 2:] + 1e-6).all()

    def test_a_mirrored_crop_mirrors_its_boxes(self) -> None:
        canvas = torch.zeros(1, 100, 100, 3, dtype=torch.uint8)
        canvas[0, 60:80, 50:60] = 255
        objects = Targets(torch.tensor([[[0.5, 0.6, 0.6, 0.8]]]), torch.tensor([[0.9]]), torch.tensor([[4]]))
        crop, mirrored = torch.tensor([[0.4, 0.4, 0.9, 0.9]]), torch.tensor([True])
        pixels = cut(canvas, crop, 100, mirrored)[0, 0]
        rows, columns = torch.nonzero(pixels > 128, as_tuple=True)
        seen = through_crop(objects, crop, mirrored)
        bright = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 100
        assert torch.allclose(seen.boxes[0, 0], bright, atol=0.02)
        assert seen.scores[0, 0] == torch.tensor(0.9)

    def test_an_object_that_is_cut_away_does_not_count(self) -> None:
        objects = Targets(torch.tensor([[[0.0, 0.0, 0.3, 0.3]]]), torch.tensor([[0.9]]), torch.tensor([[4]]))
        seen = through_crop(objects, torch.tensor([[0.25, 0.25, 1.0, 1.0]]), torch.tensor([False]))
        assert seen.scores[0, 0] == 0
