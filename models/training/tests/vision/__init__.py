"""Tests of `mner.vision`."""
