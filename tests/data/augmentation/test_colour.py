"""Colours with torchvision's meaning."""

import numpy as np

from src.data.augmentation.colour import ColourJitter


def jittered(image: np.ndarray, seed: int, strength: float) -> np.ndarray:
    return ColourJitter.of_strengths((strength, 0, 0), np.random.RandomState(seed)).image(image)


def test_jitter_of_strength_zero_changes_nothing_and_brightness_scales():
    image = np.full((4, 4, 3), 100, np.uint8)
    np.testing.assert_array_equal(jittered(image, 0, 0), image)
    values = {int(jittered(image, k, 0.5)[0, 0, 0]) for k in range(60)}
    assert 49 <= min(values) < 60 and 140 < max(values) <= 150


def test_the_three_kinds_come_in_random_order_each_within_its_strength():
    drawn = [ColourJitter.of_strengths((0.2, 0.5, 1.5), np.random.RandomState(k)).changes for k in range(100)]
    assert {tuple(kind for kind, _ in changes) for changes in drawn} == {
        (0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0),
    }  # fmt: skip
    factors = np.array([[factor for _, factor in sorted(changes)] for changes in drawn])
    assert (factors >= [0.8, 0.5, 0]).all() and (factors <= [1.2, 1.5, 2.5]).all()
    assert (np.ptp(factors, axis=0) > [0.35, 0.9, 2.2]).all()
