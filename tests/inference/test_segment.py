"""Multi-scale, mirrored and windowed prediction against the authors' procedure written out in PyTorch."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.data.normalisation import PixelNormalisation
from src.inference.segment import SegmentationSettings, Segmenter, window_places
from tests.models.torch_hrnet_seg import Convention, enlarge

CLASSES, WINDOW = 5, (24, 32)
KERNEL = torch.tensor(np.random.RandomState(0).randn(CLASSES, 3, 5, 5).astype(np.float32))
ORDER = (0, 2, 1, 3, 4)


def network(batch: np.ndarray) -> np.ndarray:
    """A convolution whose output has a quarter of the size, rounded up."""
    return F.conv2d(torch.tensor(batch), KERNEL, stride=4, padding=2).numpy()


def settings(**changes) -> SegmentationSettings:
    values = dict(
        window=WINDOW, normalisation=PixelNormalisation((120.0, 110.0, 100.0), (60.0, 61.0, 62.0)), keep_ratio=True,
        mode="whole",
        scales=(1.0,), flip=False, stride=1.0, mirrored_order=ORDER,
    )  # fmt: skip
    return SegmentationSettings(**{**values, **changes})


def convention_of(chosen: SegmentationSettings) -> Convention:
    return Convention(
        asymmetric=chosen.coordinates == "asymmetric", aligned=chosen.coordinates == "align_corners"
    )


def authors_inference(x, chosen: SegmentationSettings):
    convention = convention_of(chosen)
    pred = enlarge(torch.tensor(network(x.numpy())), x.shape[-2:], convention)
    if chosen.flip:
        other = enlarge(torch.tensor(network(x.flip(3).numpy())), x.shape[-2:], convention)
        pred = (pred + other[:, list(ORDER)].flip(3)) * 0.5
    return pred.double().exp()


def authors_scores(image, chosen: SegmentationSettings, size):
    """Sum over the scales, in the order of the original's steps."""
    pixels = chosen.normalisation
    rgb = (image[..., ::-1].astype(np.float32) - np.float32(pixels.mean)) / np.float32(pixels.std)
    total = 0
    for scale in chosen.scales:
        height, width = image.shape[:2]
        longer = int(max(height, width) * scale + 0.5)
        new = (longer, int(width * longer / height + 0.5)) if height > width else (
            int(height * longer / width + 0.5), longer)  # fmt: skip
        scaled = cv2.resize(rgb, new[::-1], interpolation=cv2.INTER_LINEAR)
        x = torch.tensor(scaled.transpose(2, 0, 1)[None].copy())
        if scale <= 1 and chosen.mode == "whole":
            scores = authors_inference(x, chosen)
        else:
            steps = [int(side * chosen.stride) for side in WINDOW]
            padded = F.pad(x, (0, max(WINDOW[1] - new[1], 0), 0, max(WINDOW[0] - new[0], 0)))
            counts = [max(math.ceil((n - w) / s), 0) + 1 for n, w, s in zip(new, WINDOW, steps)]
            scores = torch.zeros(1, CLASSES, *padded.shape[2:], dtype=torch.double)
            count = torch.zeros(1, 1, *padded.shape[2:])
            for r in range(counts[0]):
                for c in range(counts[1]):
                    bottom = min(r * steps[0] + WINDOW[0], padded.shape[2])
                    right = min(c * steps[1] + WINDOW[1], padded.shape[3])
                    place = (..., slice(bottom - WINDOW[0], bottom), slice(right - WINDOW[1], right))
                    scores[place] += authors_inference(padded[place], chosen)
                    count[place] += 1
            scores = (scores / count)[..., : new[0], : new[1]]
        last = Convention(aligned=convention_of(chosen).aligned)
        total = total + enlarge(scores, tuple(size), last)
    return total[0].numpy()


CASES = [
    settings(),
    settings(flip=True),
    settings(scales=(0.75, 1.0, 1.25), flip=True),
    settings(mode="slide", stride=0.6),
    settings(mode="slide", scales=(0.5, 1.5), flip=True),
    settings(flip=True, coordinates="asymmetric"),
    settings(mode="slide", scales=(0.5, 1.0, 1.5), flip=True, coordinates="align_corners"),
    settings(coordinates="align_corners"),
]


@pytest.mark.parametrize(
    "chosen", CASES, ids=["plain", "flip", "scales", "slide", "all", "mindspore", "aligned slide", "aligned"]
)
@pytest.mark.parametrize("image_size,label_size", [((50, 70), (50, 70)), ((41, 30), (82, 61)), ((20, 22), (20, 22))])
def test_label_maps_equal_the_authors_procedure(chosen, image_size, label_size):
    image = np.random.RandomState(1).randint(0, 256, (*image_size, 3)).astype(np.uint8)
    image = cv2.blur(image, (9, 9))
    expected = authors_scores(image, chosen, label_size)
    found = Segmenter(network, chosen, batch_size=3).scores(image).label_map(label_size)
    ranked = np.sort(expected, 0)
    clear = ranked[-1] > ranked[-2] * (1 + 1e-3)  # where rounding cannot decide
    assert found.shape == label_size and clear.mean() > 0.95
    np.testing.assert_array_equal(found[clear], expected.argmax(0)[clear])


def test_stretched_images_slide_as_the_authors_lip_evaluation_does_and_never_leave_the_windows_size():
    image = cv2.blur(np.random.RandomState(2).randint(0, 256, (50, 70, 3)).astype(np.uint8), (9, 9))
    chosen = settings(mode="slide", scales=(0.5, 1.0, 1.5), flip=True, stride=0.6)
    expected = authors_scores(cv2.resize(image, WINDOW[::-1], interpolation=cv2.INTER_LINEAR), chosen, (50, 70))
    sizes = set()

    def watched(batch):
        sizes.add(batch.shape[2:])
        return network(batch)

    found = Segmenter(watched, replace(chosen, keep_ratio=False)).scores(image).label_map((50, 70))
    ranked = np.sort(expected, 0)
    clear = ranked[-1] > ranked[-2] * (1 + 1e-3)
    assert sizes == {WINDOW} and clear.mean() > 0.95
    np.testing.assert_array_equal(found[clear], expected.argmax(0)[clear])


def test_stretched_images_are_seen_at_the_windows_size_and_answered_at_their_own():
    seen = []

    def watched(batch):
        seen.append(batch.shape)
        return network(batch)

    image = np.random.RandomState(1).randint(0, 256, (60, 50, 3)).astype(np.uint8)
    found = Segmenter(watched, settings(keep_ratio=False, flip=True), batch_size=2).scores(image).label_map((60, 50))
    assert seen == [(2, 3, *WINDOW)] and found.shape == (60, 50)


def test_mirrored_evaluation_without_the_swap_of_left_and_right_is_wrong_and_with_it_right():
    """A network that calls bright pixels class 1 in the left half and class 2 in the right half."""

    def sided(batch):
        bright = batch.max(1) > 0
        left = np.arange(batch.shape[3]) < batch.shape[3] // 2
        classes = np.where(bright, np.where(left, 1, 2), 0)
        return 5 * (classes[:, None] == np.arange(CLASSES)[None, :, None, None]).astype(np.float32)

    image = np.zeros((24, 32, 3), np.uint8)
    image[4:20, 4:12], image[8:16, 20:28] = 255, 255
    truth = np.zeros((24, 32), np.uint8)
    truth[4:20, 4:12], truth[8:16, 20:28] = 1, 2
    with_swap = Segmenter(sided, settings(flip=True)).scores(image).label_map((24, 32))
    without = Segmenter(sided, settings(flip=True, mirrored_order=tuple(range(CLASSES)))).scores(image)
    np.testing.assert_array_equal(with_swap, truth)
    assert (without.label_map((24, 32)) != truth).any()


def test_large_logits_do_not_overflow():
    def loud(batch):
        return 300 * network(batch)

    image = np.random.RandomState(1).randint(0, 256, (30, 40, 3)).astype(np.uint8)
    found = Segmenter(loud, settings(scales=(1.0, 0.5))).scores(image).label_map((30, 40))
    assert len(np.unique(found)) > 1


def test_windows_cover_the_image_and_stay_inside():
    for size in ((24, 32), (25, 33), (100, 31), (10, 90)):
        places = window_places(size, WINDOW, 0.7)
        covered = np.zeros(size, bool)
        for top, left in places:
            assert 0 <= top <= max(size[0] - WINDOW[0], 0) and 0 <= left <= max(size[1] - WINDOW[1], 0)
            covered[top : top + WINDOW[0], left : left + WINDOW[1]] = True
        assert covered.all() and len(set(places)) == len(places)
