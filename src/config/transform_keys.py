"""Configuration keys of augmentations that are off by default: docs/augmentation.md tells what each does."""

from .choices import LEAST_SIDE, MOST_SIDE
from .schema import key, keys


@keys(matters="training", on_resume="same")
class TransformKeys:
    train_scales: list[list[int]] = key(
        [],
        "detection: [[w, h], ...], one of which a training image is fitted into, in whichever orientation, inside the "
        "network's input; empty is off",
        low=LEAST_SIDE,
        high=MOST_SIDE,
        most=1000,
    )
    large_scale_jitter: list[float] = key(
        [],
        "detection: [0.1, 2.0] resizes a training image to a random one of these multiples of the network's input and "
        "cuts out a window of the input's size; empty is off",
        low=0.01,
        high=8,
        most=2,
    )
    photometric_distortion: bool = key(
        False, "random changes of brightness, contrast, saturation, hue and the order of the channels, as in SSD"
    )
    random_erasing: float = key(
        0.0, "probability of a rectangle of 0.02 to 1/3 of the image that is erased", low=0, high=1
    )
    vertical_flip_ratio: float = key(0.0, "probability of a vertical flip", low=0, high=1)
    rotate90_ratio: float = key(0.0, "probability of a turn by 90, 180 or 270 degrees", low=0, high=1)
