"""Which predictor runs a detector over images: what the configuration's keys ask for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ..config import Config, has_views
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..data.pictures import ImageSource
from .predictor import Predictor
from .results import ImagePrediction
from .tiles import TiledPredictor
from .views import ViewPredictor


class Predicts(Protocol):
    """Predictions of images one after the other, in their order; None for one that cannot be read.

    first_run_seconds: the part of the time that first batches took, which wait for graphs to compile.
    """

    first_run_seconds: float

    def predict_files(self, images: Iterable[ImageSource]) -> Iterator[tuple[str, ImagePrediction | None]]:
        """(name, prediction) of image files and of pictures in memory."""

    def predict_dataset(
        self, dataset: DetectionIndex, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[Id, ImagePrediction | None]]:
        """(image id, prediction) of the images at `indices` (all) of a data set."""


def make_predictor(model, cfg: Config) -> Predicts:
    """The predictor of `model`, a network in evaluation mode or an exported file."""
    predictor = ViewPredictor(model, cfg) if has_views(cfg) else Predictor(model, cfg)
    return TiledPredictor(predictor, cfg) if cfg.tile else predictor
