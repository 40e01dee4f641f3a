"""Many run-length codes are looked at together as each alone."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data import mask_checks
from src.data.mask_checks import MOST_PIXELS, are_rles, is_rle


def code(runs: list[int]) -> str:
    (found,) = coco_mask.frPyObjects([{"size": [1, sum(runs)], "counts": runs}], 1, sum(runs))
    return found["counts"].decode()


def test_each_code_is_told_by_its_own_runs():
    """Runs 3 2 4 1 2 are written as 3 2 4 (1 - 2) (2 - 4): "324ON", 12 pixels."""
    assert code([3, 2, 4, 1, 2]) == "324ON"
    counts = ["324ON", "324ON", "", "324O", "324OI", "o", "0", "\u00e9", "/", "p0", "0" + "o" * 7 + "0"]
    pixels = [12, 13, 12, 10, 7, 0, 0, 9, 9, 9, 0]
    #        right, another size, empty, right, a run of -3, not ended, right, no ASCII, below, above, 40 bits
    expected = [True, False, False, True, False, False, True, False, False, False, False]
    assert are_rles(counts, pixels).tolist() == expected
    assert [is_rle({"counts": one}, 1, size) for one, size in zip(counts, pixels)] == expected


def test_more_pixels_than_pycocotools_counts_are_refused():
    counts = ["ooooo3", "PPPPPP4", "oooooo3"]  # five and six times 31, and 3; six zeros and 4
    assert are_rles(counts, [2**27 - 1, MOST_PIXELS + 1, MOST_PIXELS]).tolist() == [True, False, True]
    assert are_rles([], []).tolist() == []


@pytest.mark.parametrize("together", [mask_checks.AT_ONCE, 40, 1])
def test_sound_and_spoiled_codes_are_told_as_each_alone(monkeypatch, together):
    monkeypatch.setattr(mask_checks, "AT_ONCE", together)
    rng = np.random.default_rng(0)
    counts, sizes = [], []
    for number in range(1500):
        height, width = rng.integers(1, 30, 2).tolist()
        bitmap = np.asfortranarray((rng.random((height, width)) < rng.random()).astype(np.uint8))
        text = coco_mask.encode(bitmap)["counts"].decode()
        place = int(rng.integers(0, len(text) + 1))
        letter = chr(rng.integers(40, 120))
        kinds = (text, text[:place], text[:place] + letter + text[place:], text[:place] + letter + text[place + 1 :])
        counts.append(kinds[number % 4])
        sizes.append((height, width))
    alone = [is_rle({"counts": text}, *size) for text, size in zip(counts, sizes)]
    assert are_rles(counts, [height * width for height, width in sizes]).tolist() == alone
    assert 300 < sum(alone) < 700
