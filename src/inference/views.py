"""Test-time augmentation of a detector: every image in several views, what they say merged.

Boxes are merged as MMDetection's `DetTTAModel` merges them (merge_views.py). It refuses masks; these are Detectron2's
(`GeneralizedRCNNWithTTA`): the merged boxes are put to every view, its mask head looks into them there, and the
probabilities are averaged, mirrored ones turned back.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..config import Config, has_masks
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..data.network_input import ImageSettings, prepare_resized, resize_image
from ..data.pictures import ImageSource
from ..data.pipeline import EvalBatch, EvalImage, batch_of_group, build_eval_loader, eval_groups
from ..data.read_ahead import iterate_ahead, read_ahead
from ..models.detection.detections import ALONE, Detections, as_detections
from .backends import ExportedModel
from .merge_views import MergedViews, merge_views, mirrored_boxes
from .predictor import TimedRuns, in_order, read_image
from .results import ImagePrediction, to_prediction


class ViewPredictor:
    """As `Predictor`, by the views that `eval_flip` and `eval_scales` name: a graph for boxes and, of a detector with
    masks, one for masks at each scale.

    Views come in MMDetection's order, by scale, the mirrored one first. In memory are the images of a few batches, as
    they were resized for each scale, and two views of one batch, however many there are.
    """

    def __init__(self, model, cfg: Config, workers: int = 1):
        self.model, self.cfg, self.workers = model, cfg, workers
        self.test = cfg.test_cfg.rcnn
        self.scales = ImageSettings.of_scales(cfg)
        self.kinds = (True, False) if cfg.eval_flip else (False,)  # mirrored or not
        self.batch_size, self.turns = cfg.test_batch_size, self.scales[0].turns
        self.has_masks = has_masks(cfg)
        self.runs = TimedRuns(model)

    @property
    def first_run_seconds(self) -> float:
        """What first batches took."""
        return self.runs.first_seconds

    def predict_files(self, images: Iterable[ImageSource]) -> Iterator[tuple[str, ImagePrediction | None]]:
        """(name, prediction) of every image file or picture in memory, in the order of `images`."""
        limit = self.cfg.max_image_pixels
        return self._predict(read_image(source, self.scales[0], limit, self._resized) for source in images)

    def predict_dataset(
        self, dataset: DetectionIndex, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[Id, ImagePrediction | None]]:
        """(image id, prediction) of the images at `indices` (all) of a data set."""
        return self._predict(build_eval_loader(self.cfg, dataset, indices=indices).images(self._resized))

    def _resized(self, pixels: np.ndarray) -> list[np.ndarray]:
        """(h, w, 3) uint8 at each scale."""
        return [resize_image(pixels, settings) for settings in self.scales]

    def _predict(self, images: Iterable[EvalImage]) -> Iterator[tuple[object, ImagePrediction | None]]:
        found = read_ahead(self._finish, self._slots(images), self.workers, ahead=2 * self.batch_size, name="results")
        return in_order(found)

    def _slots(self, images: Iterable[EvalImage]) -> Iterator[tuple]:
        """Place, image, detections and their masks; a group is read while the network runs on the one before."""
        for places, group in iterate_ahead(eval_groups(images, self.batch_size, self.turns)):
            found = self._boxes(places, group)
            masks = self._masks(places, group, found)
            yield from zip(places or [None] * len(group), group, found, masks)

    def _finish(self, slot: tuple[int | None, EvalImage, MergedViews, np.ndarray | None]) -> tuple[int | None, tuple]:
        place, image, found, masks = slot
        if image.prepared is None:
            return place, (image.image_id, None)
        slots = Detections(*found[:3], np.ones(len(found.boxes), bool), masks)
        prediction = to_prediction(slots, (1, 1), image.orig_shape, self.test.mask_thr_binary)
        return place, (image.image_id, prediction)

    def _boxes(self, places: list[int] | None, group: Sequence[EvalImage]) -> list[MergedViews]:
        """The merged detections of every image, in its own pixels."""
        seen: list[list[Detections]] = [[] for _ in group]
        for batch in self._batches(places, group):
            outputs = self._run_boxes(batch)
            for i in np.flatnonzero(batch.readable):
                slots = outputs.of_image(i)
                used = np.flatnonzero(slots.valid)
                boxes = slots.boxes[used].astype(np.float32) / np.tile(batch.scale_factor[i], 2)
                seen[i].append(Detections(boxes, slots.scores[used], slots.labels[used], None))
        flipped = self.kinds * len(self.scales)
        return [
            merge_views(
                [view.boxes for view in views],
                [view.scores for view in views],
                [view.labels for view in views],
                flipped[: len(views)],  # there are none of an image that cannot be read
                image.orig_shape,
                self.test.iou_threshold,
                self.test.max_per_img,
                self.test.nms_class_agnostic,
            )
            for image, views in zip(group, seen)
        ]

    def _masks(
        self, places: list[int] | None, group: Sequence[EvalImage], found: Sequence[MergedViews]
    ) -> list[np.ndarray | None]:
        """Mask probabilities (N, M, M) of every image's detections, the mean of the views'."""
        if not self.has_masks:
            return [None] * len(group)
        totals: list[np.ndarray] = [np.zeros((0, 1, 1), np.float32) for _ in group]
        if not any(len(one.boxes) for one in found):
            return totals
        flipped = self.kinds * len(self.scales)
        for number, batch in enumerate(self._batches(places, group)):
            masks = self._run_masks(batch, found, flipped[number])
            for i, one in enumerate(found):
                own = masks[i, : len(one.boxes), :, :: -1 if flipped[number] else 1]
                totals[i] = own.astype(np.float32) if number == 0 else totals[i] + own
        return [total / np.float32(len(flipped)) for total in totals]

    def _batches(self, places: list[int] | None, group: Sequence[EvalImage]) -> Iterator[EvalBatch]:
        """The group's images in each view; a view is made while the network runs on the one before."""
        return iterate_ahead(
            self._batch(places, group, number, is_mirrored)
            for number in range(len(self.scales))
            for is_mirrored in self.kinds
        )

    def _batch(
        self, places: list[int] | None, group: Sequence[EvalImage], number: int, is_mirrored: bool
    ) -> EvalBatch:
        settings = replace(self.scales[number], mirrored=is_mirrored)
        images = [
            image if image.prepared is None
            else replace(image, prepared=prepare_resized(image.prepared[number], image.orig_shape, settings))
            for image in group
        ]  # fmt: skip
        return batch_of_group(places, images, self.batch_size, settings, "")

    def _run_boxes(self, batch: EvalBatch) -> Detections:
        shape = batch.image_shape.astype(np.int32)
        if isinstance(self.model, ExportedModel):
            return as_detections(self.runs.run(self.model, batch.image, shape))
        model = self.model
        return as_detections(
            self.runs.run(lambda *inputs: model(*inputs, ALONE), batch.image, shape, graph="boxes")
        )

    def _run_masks(self, batch: EvalBatch, found: Sequence[MergedViews], is_mirrored: bool) -> np.ndarray:
        """(B, D, M, M): what a view's mask head sees in the merged boxes, those of each image first."""
        slots = self.batch_size, self.test.max_per_img
        boxes, labels, valid = np.zeros((*slots, 4), np.float32), np.zeros(slots, np.int32), np.zeros(slots, bool)
        for i, one in enumerate(found):
            count, width = len(one.boxes), int(batch.orig_shape[i][1])
            own = mirrored_boxes(one.boxes, width) if is_mirrored else one.boxes
            boxes[i, :count] = own * np.tile(batch.scale_factor[i], 2)
            labels[i, :count], valid[i, :count] = one.labels, True
        (masks,) = self.runs.run(self.model, batch.image, boxes, labels, valid, graph="masks")
        return masks
