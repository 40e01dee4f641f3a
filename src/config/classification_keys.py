"""Configuration keys of classification's augmentations by timm's definition."""

from .schema import key, keys

PERMUTED = "permuted"  # mixing as it was before there was timm's
MIXUP_MODES = (PERMUTED, "batch", "pair", "elem")


@keys(matters="training", on_resume="same")
class TimmAugmentKeys:
    auto_augment: str = key(
        "", "classification: timm's RandAugment in its own words, rand-m9-mstd0.5-inc1; empty is off (rand_augment: "
        "torchvision's)"
    )  # fmt: skip
    mixup_mode: str = key(
        PERMUTED,
        "classification: who is mixed with whom: permuted draws partners; batch, pair and elem are timm's: the partner "
        "is that of the batch read backwards, with a share for all at once, for two, or for each image",
        choices=MIXUP_MODES,
    )
    mixup_prob: float = key(
        1.0, "classification: probability that a batch, pair or image is mixed (timm's modes)", low=0, high=1
    )
    mixup_switch_prob: float = key(
        0.5, "classification: probability of CutMix where mixup is on too (timm's modes)", low=0, high=1
    )
    cutmix_minmax: list[float] = key(
        [],
        "classification: [0.2, 0.8], least and largest side of CutMix's boxes as shares of the image's (timm's modes); "
        "empty: by cutmix; switches CutMix on, whatever cutmix says, as in timm",
        low=0,
        high=1,
        most=2,
    )
