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
    class_balanced: float = key(
        0.0,
        "classification: evens out how often an epoch takes the classes: each in proportion to its images to the power "
        "1 - this, 1 all alike; an epoch stays as long; 0 is off",
        low=0,
        high=1,
    )
    train_weights: list[float] = key(
        [],
        "how often an epoch takes an image of each training data set; of a fraction as many images, chosen anew in "
        "each epoch; empty: 1 of each",
        low=1e-3,
        high=100,
    )
