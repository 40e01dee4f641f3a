"""What a configuration says about how labels are to be taken."""

from dataclasses import dataclass

from ...config import Config
from ..images import MAX_PIXELS


@dataclass(frozen=True)
class Rules:
    """See the keys `classes`, `crowd_rle` and `max_image_pixels`."""

    classes: str = "exact"
    crowd_rle: str = "auto"
    max_pixels: int = MAX_PIXELS

    @classmethod
    def from_config(cls, cfg: Config) -> "Rules":
        return cls(cfg.classes, cfg.crowd_rle, cfg.max_image_pixels)


USUAL_RULES = Rules()
