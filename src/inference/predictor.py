"""A detector over many images: the network on fixed-shape batches, its outputs turned into results by other threads."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..data.images import log_if_too_large
from ..data.network_input import ImageSettings, prepare_image
from ..data.pictures import ImageSource, read_any
from ..data.pipeline import EvalBatch, EvalImage, build_eval_loader, eval_batches
from ..data.read_ahead import iterate_ahead, read_ahead
from ..models.detection.detections import Detections, as_detections
from .backends import run_model
from .find_images import find_images as find_images  # where it was before
from .results import ImagePrediction, to_prediction

logger = logging.getLogger(__name__)

_sizes: WeakKeyDictionary = WeakKeyDictionary()  # of the inputs that a network has had: each is a graph of its own


class Predictor:
    """Runs `model(image, image_shape)` and gives every image's `ImagePrediction`, or None for an unreadable image.

    The network runs in the calling thread. Mask pasting and run-length coding of the batch before go on meanwhile in
    `workers` threads; one is the fastest where measured, since it uses several cores by itself in its matrix products.
    How many images wait there is bounded, so memory does not grow with the number of images.
    """

    def __init__(self, model, cfg, workers: int = 1):
        self.model, self.cfg = model, cfg
        self.mask_threshold = cfg.test_cfg.rcnn.mask_thr_binary
        self.style = "continuous"
        if cfg.box_style == "legacy":
            self.style = "points" if cfg.detector == "pointrend" else "pixels"
        self.batch_size = cfg.test_batch_size
        self.settings, self.max_pixels = ImageSettings.from_config(cfg), cfg.max_image_pixels
        self.workers = workers
        self.runs = TimedRuns(model)

    @property
    def first_run_seconds(self) -> float:
        """What first batches took."""
        return self.runs.first_seconds

    def predict_batch(self, batch: EvalBatch) -> list[ImagePrediction | None]:
        """Predictions of the batch's `count` real images, in their order."""
        outputs = self._run(batch)
        return [self._finish(batch, outputs, i) for i in range(batch.count)]

    def predict_stream(self, loader: Iterable[EvalBatch]) -> Iterator[tuple[object, ImagePrediction | None]]:
        """(image id, prediction) of every real image of the batches, in their order or that of their `places`."""
        waiting = 2 * max(self.workers, self.batch_size)

        def finish(slot: tuple[EvalBatch, Detections, int]) -> tuple[int | None, tuple]:
            batch, _, i = slot
            place = None if batch.places is None else batch.places[i]
            return place, (batch.image_ids[i], self._finish(*slot))

        return in_order(read_ahead(finish, self._slots(loader), self.workers, ahead=waiting, name="results"))

    def predict_files(self, images: Iterable[ImageSource]) -> Iterator[tuple[str, ImagePrediction | None]]:
        """(name, prediction) of every image file or picture in memory, in the order of `images`."""
        return self.predict_stream(eval_batches(map(self._read, images), self.batch_size, self.settings, empty_id=""))

    def predict_dataset(
        self, dataset: DetectionIndex, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[Id, ImagePrediction | None]]:
        """(image id, prediction) of the images at `indices` (all) of a data set."""
        return self.predict_stream(build_eval_loader(self.cfg, dataset, indices=indices))

    def _slots(self, loader: Iterable[EvalBatch]) -> Iterator[tuple[EvalBatch, Detections, int]]:
        """Batch, outputs and slot of every real image; a batch is read while the network runs on the one before."""
        for batch in iterate_ahead(loader):
            outputs = self._run(batch)
            for i in range(batch.count):
                yield batch, outputs, i

    def _run(self, batch: EvalBatch) -> Detections:
        return as_detections(self.runs.run(self.model, batch.image, batch.image_shape.astype(np.int32)))

    def _finish(self, batch: EvalBatch, outputs: Detections, i: int) -> ImagePrediction | None:
        if not batch.readable[i]:
            return None
        scale_factor, orig_shape = batch.scale_factor[i], batch.orig_shape[i]
        return to_prediction(outputs.of_image(i), scale_factor, orig_shape, self.mask_threshold, self.style)

    def _read(self, source: ImageSource) -> EvalImage:
        return read_image(source, self.settings, self.max_pixels, partial(prepare_image, settings=self.settings))


class TimedRuns:
    """Runs a network or what is made of it; the first run of a size of images also waits for a graph to compile.

    first_seconds: what those took; each after a network's first one is said.
    """

    def __init__(self, model):
        self.model, self.first_seconds = model, 0.0
        self._met: set[tuple] = set()

    def run(self, network, image: np.ndarray, *arrays: np.ndarray, graph: str = "") -> tuple[np.ndarray, ...]:
        """Outputs of `network`, the model or one of its parts, named `graph` then, for images (B, 3, H, W)."""
        started = time.perf_counter()
        outputs = run_model(network, image, *arrays)
        if (graph, image.shape) not in self._met:
            self._met.add((graph, image.shape))
            self._tell(graph, image.shape, time.perf_counter() - started)
        return outputs

    def _tell(self, graph: str, shape: tuple[int, ...], seconds: float) -> None:
        self.first_seconds += seconds
        met = _sizes.setdefault(self.model, set())
        if met and (graph, shape) not in met:
            logger.info("%simages of %dx%d: the network's graph number %d, first batch in %.1f s",
                        graph and f"{graph} of ", *shape[:1:-1], len(met) + 1, seconds)  # fmt: skip
        met.add((graph, shape))


def read_image(
    source: ImageSource, settings: ImageSettings, max_pixels: int, prepare: Callable[[np.ndarray], Any]
) -> EvalImage:
    """An image file or a picture in memory, `prepared` from its pixels (h, w, 3) uint8 BGR."""
    pixels = read_any(source, max_pixels, settings.reading)
    if pixels is None:
        log_if_too_large(source, max_pixels)
        return EvalImage(str(source), (settings.height, settings.width), None)
    return EvalImage(str(source), pixels.shape[:2], prepare(pixels))


def in_order(found: Iterable[tuple[int | None, tuple]]) -> Iterator[tuple]:
    """The items of (place, item) by their places, which are 0, 1, ...; those without one as they come."""
    waiting: dict[int, tuple] = {}
    first = 0
    for place, item in found:
        if place is None:
            yield item
            continue
        waiting[place] = item
        while first in waiting:
            yield waiting.pop(first)
            first += 1
