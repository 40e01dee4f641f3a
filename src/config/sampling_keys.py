"""Configuration keys of sampling: how often an epoch takes which training image."""

from .schema import key, keys


@keys(matters="training", on_resume="same")
class SamplingKeys:
    repeat_threshold: float = key(
        0.0,
        "detection: images of a class that fewer than this share of the images have are repeated, max(1, "
        "sqrt(threshold / share)) times, rounded up, by an image's rarest class (LVIS); 0 is off",
        low=0,
        high=1,
    )
