"""A detector over many images: the network on fixed-shape batches, its outputs turned into results by other threads."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..data.images import log_if_too_large, read_bgr
from ..data.network_input import ImageSettings, prepare_image
from ..data.pipeline import EvalBatch, EvalImage, make_eval_batch
from ..data.read_ahead import iterate_ahead, read_ahead
from ..models.detection.detections import Detections, as_detections
from .backends import run_model
from .find_images import find_images as find_images  # where it was before
from .results import ImagePrediction, to_prediction


class Predictor:
    """Runs `model(image, image_shape)` and gives every image's `ImagePrediction`, or None for an unreadable image.

    The network runs in the calling thread. Mask pasting and run-length coding of the batch before go on meanwhile in
    `workers` threads; one is the fastest where measured, since it uses several cores by itself in its matrix products.
    How many images wait there is bounded, so memory does not grow with the number of images.
    """

    def __init__(self, model, cfg, workers: int = 1):
        self.model = model
        self.mask_threshold = cfg.test_cfg.rcnn.mask_thr_binary
        self.style = "continuous"
        if cfg.box_style == "legacy":
            self.style = "points" if cfg.detector == "pointrend" else "pixels"
        self.batch_size = cfg.test_batch_size
        self.settings, self.max_pixels = ImageSettings.from_config(cfg), cfg.max_image_pixels
        self.workers = workers
        self.first_run_seconds = 0.0  # the first batch also waits for the graph to compile

    def predict_batch(self, batch: EvalBatch) -> list[ImagePrediction | None]:
        """Predictions of the batch's `count` real images, in their order."""
        outputs = self._run(batch)
        return [self._finish(batch, outputs, i) for i in range(batch.count)]

    def predict_stream(self, loader: Iterable[EvalBatch]) -> Iterator[tuple[object, ImagePrediction | None]]:
        """(image id, prediction) of every real image of the batches, in their order."""
        waiting = 2 * max(self.workers, self.batch_size)

        def finish(slot: tuple[EvalBatch, tuple[np.ndarray, ...], int]) -> tuple[object, ImagePrediction | None]:
            batch, _, i = slot
            return batch.image_ids[i], self._finish(*slot)

        return read_ahead(finish, self._slots(loader), self.workers, ahead=waiting, name="results")

    def predict_files(self, paths: Sequence[str | Path]) -> Iterator[tuple[str, ImagePrediction | None]]:
        """(path, prediction) of every image file, in the order of `paths`."""
        batches = (paths[i : i + self.batch_size] for i in range(0, len(paths), self.batch_size))
        return self.predict_stream(self._load(batch) for batch in batches)

    def _slots(self, loader: Iterable[EvalBatch]) -> Iterator[tuple[EvalBatch, Detections, int]]:
        """Batch, outputs and slot of every real image; a batch is read while the network runs on the one before."""
        for batch in iterate_ahead(loader):
            outputs = self._run(batch)
            for i in range(batch.count):
                yield batch, outputs, i

    def _run(self, batch: EvalBatch) -> Detections:
        started = time.perf_counter()
        arrays = run_model(self.model, batch.image, batch.image_shape.astype(np.int32))
        self.first_run_seconds = self.first_run_seconds or time.perf_counter() - started
        return as_detections(arrays)

    def _finish(self, batch: EvalBatch, outputs: Detections, i: int) -> ImagePrediction | None:
        if not batch.readable[i]:
            return None
        scale_factor, orig_shape = batch.scale_factor[i], batch.orig_shape[i]
        return to_prediction(outputs.of_image(i), scale_factor, orig_shape, self.mask_threshold, self.style)

    def _load(self, paths: Sequence[str | Path]) -> EvalBatch:
        return make_eval_batch([self._read(path) for path in paths], self.batch_size, self.settings, empty_id="")

    def _read(self, path: str | Path) -> EvalImage:
        rules = self.settings.reading
        pixels = read_bgr(path, rules.upright, self.max_pixels, rules)
        if pixels is None:
            log_if_too_large(path, self.max_pixels)
            return EvalImage(str(path), (self.settings.height, self.settings.width), None)
        return EvalImage(str(path), pixels.shape[:2], prepare_image(pixels, self.settings))
