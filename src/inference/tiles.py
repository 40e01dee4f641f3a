"""Images by tiles: a large image is put to the network in overlapping parts, each of them as an image of its own.

Objects keep the size that they have in the file, as the network has learned them, and memory is that of a tile: of a
large TIFF only the tiles in hand are decoded (`windows`). `seams` joins what the tiles say.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from ..config import Config
from ..data.decoding import ImageRules
from ..data.detection_samples import tell_unreadable
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex, ImageRecord
from ..data.pictures import ImageSource, Picture
from ..data.windows import Unreadable, Windows, open_labelled, open_windows
from .results import ImagePrediction
from .seams import merge_tiles

logger = logging.getLogger(__name__)

TILES = "tiles"  # key of the protocol
MANY = 64  # tiles of an image that is said to have so many: it takes its time


class TiledPredictor:
    """Predictions of images by those of their tiles, which `inner` makes; see `predictors.Predicts`.

    The tiles of an image fill batches of their own, so that what is found in it does not depend on other images.
    """

    def __init__(self, inner, cfg: Config):
        self.inner, self.side, self.overlap = inner, cfg.tile, cfg.tile_overlap
        self.max_pixels, self.rules = cfg.max_image_pixels, ImageRules.from_config(cfg)

    @property
    def first_run_seconds(self) -> float:
        return self.inner.first_run_seconds

    def predict_files(self, images: Iterable[ImageSource]) -> Iterator[tuple[str, ImagePrediction | None]]:
        for source in images:
            found = None
            try:
                found = self._predict(str(source), open_windows(source, self.max_pixels, self.rules))
            except Unreadable as error:
                logger.warning("%s", error)
            yield str(source), found

    def predict_dataset(
        self, dataset: DetectionIndex, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[Id, ImagePrediction | None]]:
        for record in map(dataset.record, range(len(dataset)) if indices is None else indices):
            yield record.image_id, self._predict_record(record)

    def _predict_record(self, record: ImageRecord) -> ImagePrediction | None:
        reason = ""
        try:
            windows = open_labelled(record, self.max_pixels, self.rules)
            if windows is not None:
                return self._predict(str(record.path), windows)
        except Unreadable as error:
            reason = str(error)
        tell_unreadable(record, reason)
        return None

    def _predict(self, name: str, windows: Windows) -> ImagePrediction:
        """Unreadable where a part of the image is damaged. Closes the image."""
        with contextlib.closing(windows):
            height, width = windows.size
            places = tile_places(windows.size, self.side, self.overlap)
            if len(places) >= MANY:
                logger.info("%s: %d x %d pixels, %d tiles", name, width, height, len(places))
            window = partial(windows.window, height=min(self.side, height), width=min(self.side, width))
            tiles = (Picture(f"{name} at {left}, {top}", window(top, left)) for top, left in places)
            return merge_tiles(windows.size, places, [found for _, found in self.inner.predict_files(tiles)])


def tile_places(size: tuple[int, int], side: int, overlap: float) -> list[tuple[int, int]]:
    """(top, left) of the tiles of `side` pixels that cover an image of (h, w), line by line.

    overlap: the share of a tile that the next one shows too; the last ones are moved back inside, and show more of it.
    Of 250 pixels, tiles of 100 with an overlap of 0.2 begin at 0, 80 and 150. It is how SAHI slices.
    """
    step = max(side - int(overlap * side), 1)
    tops, lefts = (
        [min(start, max(length - side, 0)) for start in range(0, max(length - side, 0) + step, step)] for length in size
    )
    return [(top, left) for top in tops for left in lefts]


def tile_rule(cfg: Config) -> dict[str, str]:
    """What the protocol says of tiles; nothing where there are none."""
    return {TILES: f"{cfg.tile} with an overlap of {cfg.tile_overlap:g}"} if cfg.tile else {}
