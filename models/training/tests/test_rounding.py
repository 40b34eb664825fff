"""Eight bits lose little where one channel is a hundred times as large as the others."""

import unittest

import numpy as np

from mner.export.rounding import WEIGHT_LIMIT, best_range, choose_range, quantise_weight


class Rounding(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(1)
        self.even = random.normal(size=(200, 32)).astype(np.float32)
        self.weight = random.normal(size=(32, 16)).astype(np.float32)
        self.uneven = self.even.copy()
        self.uneven[:, 3] *= 100

    def test_a_range_holds_zero_exactly(self) -> None:
        error, found = best_range(self.even + 10, self.weight)
        self.assertEqual(found.zero, 0)
        self.assertLess(error, float(np.square((self.even + 10) @ self.weight).sum()) / 1000)

    def test_weights_have_seven_bits_and_a_scale_for_each_column(self) -> None:
        coded, scale = quantise_weight(self.weight)
        self.assertEqual(int(np.abs(coded).max()), WEIGHT_LIMIT)
        self.assertTrue((np.abs(coded * scale - self.weight) <= scale / 2 + 1e-6).all())

    def test_one_large_channel_is_divided_and_even_ones_are_left_alone(self) -> None:
        self.assertIsNone(choose_range(self.even, np.abs(self.even).max(0), self.weight).divisors)
        light = self.weight.copy()
        light[3] /= 100
        found = choose_range(self.uneven, np.abs(self.uneven).max(0), light)
        assert found.divisors is not None
        self.assertEqual(int(found.divisors.argmax()), 3)
        evened, heavier = self.uneven / found.divisors, light * found.divisors[:, None]
        np.testing.assert_allclose(evened @ heavier, self.uneven @ light, rtol=1e-3, atol=1e-3)
        self.assertLess(best_range(evened, heavier)[0], best_range(self.uneven, light)[0] / 10)

    def test_a_channel_that_the_sample_never_showed_still_counts(self) -> None:
        unseen = self.uneven.copy()
        unseen[:, 5] = 0
        light = self.weight.copy()
        light[3] /= 100
        found = choose_range(unseen, np.abs(unseen).max(0), light)
        assert found.divisors is not None
        coded, _ = quantise_weight(light * found.divisors[:, None])
        self.assertGreater(int(np.abs(coded[5]).max()), WEIGHT_LIMIT // 4)
        self.assertLess(1 / found.divisors[5] / found.scale, 255)  # nor does a one there leave the range


if __name__ == "__main__":
    unittest.main()
