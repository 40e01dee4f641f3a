"""Resizing of classified images with torchvision's semantics, and the mixing of a batch of them.

Images are RGB numpy arrays (h, w, 3) uint8. PIL resizes, as in the originals: its bilinear filter widens when it
shrinks (antialias), on which published accuracies depend.
"""

import math

import numpy as np
from PIL import Image


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) -> (*size, 3), bilinear with antialias."""
    if image.shape[:2] == tuple(size):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_and_centre_crop(image: np.ndarray, short_side: int, size: tuple[int, int]) -> np.ndarray:
    """Short side to `short_side`, then the central (h, w) `size`, padded with zeros where the image is smaller."""
    height, width = image.shape[:2]
    if width <= height:
        scaled = (int(short_side * height / width), short_side)
    else:
        scaled = (short_side, int(short_side * width / height))
    image = resize(image, scaled)
    missing = [max(wanted - have, 0) for wanted, have in zip(size, image.shape)]
    if any(missing):
        image = np.pad(image, [(gap // 2, gap - gap // 2) for gap in missing] + [(0, 0)])
    top, left = (int(round((have - wanted) / 2.0)) for have, wanted in zip(image.shape, size))
    return image[top : top + size[0], left : left + size[1]]


def mixup(
    images: np.ndarray, labels: np.ndarray, alpha: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every image of (B, 3, H, W) blended with another of the batch by one Beta(alpha, alpha) share (Zhang et al.).

    Returns images, the partners' labels (B,), the share of the own label (B,) float32.
    """
    share = np.float32(rng.beta(alpha, alpha))
    partner = rng.permutation(len(images))
    mixed = share * images + (1 - share) * images[partner]
    return mixed.astype(np.float32), labels[partner], np.full(len(images), share, np.float32)


def cutmix(
    images: np.ndarray, labels: np.ndarray, alpha: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One box of every image replaced by a partner's (Yun et al., arXiv:1905.04899); results as `mixup`.

    The box has 1 - Beta(alpha, alpha) of the area where it does not hang over the border; the share is the exact one.
    """
    height, width = images.shape[2:]
    side = math.sqrt(1 - rng.beta(alpha, alpha))
    centre = rng.randint(height), rng.randint(width)
    half = int(height * side) // 2, int(width * side) // 2
    top, left = (max(c - h, 0) for c, h in zip(centre, half))
    bottom, right = (min(c + h, limit) for c, h, limit in zip(centre, half, (height, width)))
    partner = rng.permutation(len(images))
    mixed = images.copy()
    mixed[:, :, top:bottom, left:right] = images[partner][:, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, labels[partner], np.full(len(images), share, np.float32)
