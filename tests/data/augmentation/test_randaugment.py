import numpy as np
import pytest
from PIL import Image

from src.data.augmentation.randaugment import OPERATIONS, RandAugment

IMAGE = np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)
UNCHANGED_AT_ZERO = set(OPERATIONS) - {"AutoContrast", "Equalize", "Solarize"}  # solarizing inverts 255 even at zero


def apply(name: str, magnitude: int, sign: int = 1) -> np.ndarray:
    operation, strength, _ = OPERATIONS[name]
    return np.asarray(operation(Image.fromarray(IMAGE), sign * strength(magnitude / 30, (32, 24))))


def test_it_has_the_fourteen_operations_of_the_original():
    assert len(OPERATIONS) == 14


@pytest.mark.parametrize("name", sorted(UNCHANGED_AT_ZERO))
def test_magnitude_zero_changes_nothing(name):
    np.testing.assert_array_equal(apply(name, 0), IMAGE)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"Identity"}))
def test_every_operation_keeps_the_shape_and_changes_the_picture(name):
    out = apply(name, 30)
    assert out.shape == IMAGE.shape and out.dtype == np.uint8
    dull = np.asarray(Image.fromarray((IMAGE // 4 + 60).astype(np.uint8)))
    operation, strength, _ = OPERATIONS[name]
    assert (np.asarray(operation(Image.fromarray(dull), strength(1.0, (32, 24)))) != dull).any()


def test_magnitudes_are_torchvisions():
    moved = apply("TranslateX", 30)
    shift = int(150 / 331 * 32)
    np.testing.assert_array_equal(moved[:, shift:], IMAGE[:, :-shift])
    assert not moved[:, :shift].any()
    np.testing.assert_array_equal(apply("TranslateY", 30, -1)[: 24 - int(150 / 331 * 24)], IMAGE[int(150 / 331 * 24) :])
    np.testing.assert_array_equal(apply("Posterize", 30), IMAGE & 0xF0)
    np.testing.assert_array_equal(apply("Solarize", 30), 255 - IMAGE)
    np.testing.assert_allclose(apply("Brightness", 30, -1), IMAGE * 0.1, atol=1)


def test_the_same_random_state_gives_the_same_picture_and_others_differ():
    drawn = [RandAugment.of(2, 15, IMAGE.shape[:2], np.random.RandomState(seed)) for seed in (1, 1, 2, 3, 4)]
    pictures = [augmentation.image(IMAGE) for augmentation in drawn]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert len({picture.tobytes() for picture in pictures}) > 2
