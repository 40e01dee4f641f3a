"""What a configuration says about how labels are to be taken."""

from dataclasses import dataclass

from ...config import Config
from ..images import MAX_PIXELS


@dataclass(frozen=True)
class Rules:
    """See the keys `classes`, `crowd_rle`, `max_image_pixels` and `allow_outside`."""

    classes: str = "exact"
    crowd_rle: str = "auto"
    max_pixels: int = MAX_PIXELS
    allow_outside: bool = False

    @classmethod
    def from_config(cls, cfg: Config) -> "Rules":
        return cls(cfg.classes, cfg.crowd_rle, cfg.max_image_pixels, cfg.allow_outside)


USUAL_RULES = Rules()
