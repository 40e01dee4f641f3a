"""What a configuration says about how labels are to be taken."""

from dataclasses import dataclass

from ...config import Config


@dataclass(frozen=True)
class Rules:
    """See the keys `classes` and `crowd_rle`."""

    classes: str = "exact"
    crowd_rle: str = "auto"

    @classmethod
    def from_config(cls, cfg: Config) -> "Rules":
        return cls(cfg.classes, cfg.crowd_rle)


USUAL_RULES = Rules()
