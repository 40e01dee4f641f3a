import numpy as np
import pytest

from src.data.contiguous import contiguous
from src.data.normalisation import PixelNormalisation

PIXELS = np.random.RandomState(0).randint(0, 256, (7, 9, 3)).astype(np.uint8)
VIEWS = {
    "plain": PIXELS,
    "mirrored": PIXELS[:, ::-1],
    "turned_channels": PIXELS[..., ::-1],
    "both": PIXELS[:, ::-1, ::-1],
    "upside_down": PIXELS[::-1],
    "half_turn": PIXELS[::-1, ::-1],
    "a_part": PIXELS[1:4, 2:7],
    "mirrored_part": PIXELS[1:4, 2:7][:, ::-1],
    "turned": np.rot90(PIXELS),
    "a_column": PIXELS[:, :1][:, ::-1],
    "map": PIXELS[..., 0],
    "mirrored_map": PIXELS[:, ::-1, 1],
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_the_same_in_memory_of_its_own(view):
    found = contiguous(VIEWS[view])
    np.testing.assert_array_equal(found, VIEWS[view], strict=True)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("to_rgb", [True, False])
@pytest.mark.parametrize("view", [name for name in VIEWS if "map" not in name])
def test_colours_of_a_view_are_normalised_to_the_bit_as_one_pixel_at_a_time(view, to_rgb):
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    normalisation, pixels = PixelNormalisation(tuple(mean), tuple(std), to_rgb), VIEWS[view]
    divided = ((pixels if to_rgb else pixels[..., ::-1]).astype(np.float32) - mean) / std
    np.testing.assert_array_equal(normalisation.divided(pixels), divided.transpose(2, 0, 1), strict=True)
    out = np.zeros((3, *pixels.shape[:2]), np.float32)
    normalisation.multiplied(pixels, out)
    multiplied = ((pixels[..., ::-1] if to_rgb else pixels).astype(np.float32) - mean) * (np.float32(1) / std)
    np.testing.assert_array_equal(out, multiplied.transpose(2, 0, 1), strict=True)
