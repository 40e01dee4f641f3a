"""infer.py's `draw`: each image with what is found on it, drawn as soon as that is known."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config import Config
from ..config.thresholds import read_thresholds
from ..data.decoding import ImageRules
from ..data.images import write_picture
from .drawing import Drawing, Reached
from .fonts import FontBook
from .visualize import make_folder, overlay_names, read_for_entry

logger = logging.getLogger(__name__)


def draw_targets(cfg: Config, images: Sequence[Path]) -> list[Path]:
    """Where the pictures go: named as those of draw_predictions.py; none without `draw`."""
    return [Path(cfg.draw) / name for name in overlay_names(list(map(str, images)))] if cfg.draw else []


def drawing_of(cfg: Config, palette: np.ndarray | None = None) -> Drawing:
    """How `draw` draws. palette: (C, 3) RGB of a segmenter's labels."""
    least = cfg.draw_score_thr
    least = read_thresholds(least) if isinstance(least, str) else least
    return Drawing(least, cfg.draw_colours, FontBook(cfg.font), palette)


class InferredPictures:
    """Writes the picture of each image that has been predicted."""

    def __init__(self, cfg: Config, images: Sequence[Path]):
        make_folder(Path(cfg.draw))
        self._targets = dict(zip(map(str, images), draw_targets(cfg, images)))
        self._drawing, self._max_pixels = drawing_of(cfg), cfg.max_image_pixels
        self._rules = ImageRules.from_config(cfg)
        self._reached = Reached(self._drawing.least, "draw_score_thr")

    def write(self, image: str, entry: dict | None) -> None:
        """entry: of the image in infer.py's file; None where it could not be read. UserError if it cannot be written.

        An image that is too large to be drawn, or another one now, is said.
        """
        if entry is None:
            return
        self._reached.add(entry)
        pixels, problem = read_for_entry(image, entry, self._max_pixels, self._rules)
        if pixels is None:
            logger.warning("not drawn: %s", problem)
        else:
            write_picture(self._targets[image], self._drawing(pixels, entry))

    def finish(self) -> None:
        """Behind the last image: say where nothing reached what is drawn."""
        self._reached.tell()
