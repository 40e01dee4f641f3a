"""Configuration keys of PointRend for semantic segmentation."""

from .choices import MOST_BOXES, MOST_CHANNELS, MOST_LAYERS
from .schema import key, keys


@keys(matters="weights", on_resume="same")
class PointRendCfg:
    num_fcs: int = key(3, "hidden layers of the point head", low=1, high=MOST_LAYERS)
    fc_channels: int = key(256, "width of the hidden layers", low=1, high=MOST_CHANNELS)
    coarse_pred_each_layer: bool = key(True, "every layer sees the coarse prediction, not only the first")
    loss_weight: float = key(1.0, "factor of the points' loss", low=0, high=1e6, matters="training")
    num_points: int = key(
        2048, "points of an image that the point head trains on", low=1, high=MOST_BOXES, matters="training"
    )
    oversample_ratio: float = key(3.0, "candidates for each of them", low=1, high=100, matters="training")
    importance_sample_ratio: float = key(
        0.75, "share of them with the least certain coarse prediction", low=0, high=1, matters="training"
    )
    subdivision_steps: int = key(
        2,
        "doublings of the coarse logits' resolution in inference",
        low=0,
        high=5,
        matters="scores",
        on_resume="free",
    )
    subdivision_num_points: int = key(
        8192, "points looked at anew at each doubling", low=1, high=MOST_BOXES, matters="scores", on_resume="free"
    )
