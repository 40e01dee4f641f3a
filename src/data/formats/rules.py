"""What a configuration says about how labels are to be taken."""

from dataclasses import dataclass

from ...config import Config


@dataclass(frozen=True)
class Rules:
    """See the keys `classes`, `crowd_rle` and `allow_outside`."""

    classes: str = "exact"
    crowd_rle: str = "auto"
    allow_outside: bool = False

    @classmethod
    def from_config(cls, cfg: Config) -> "Rules":
        return cls(cfg.classes, cfg.crowd_rle, cfg.allow_outside)


USUAL_RULES = Rules()
