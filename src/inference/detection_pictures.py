"""Truth beside prediction of images that a report shows, whole or the part around some boxes."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from ..config import Config
from ..data.decoding import ImageRules
from ..data.formats.index import DetectionIndex, ImageRecord
from ..data.pipeline import read_image, unreadable_reason
from ..data.rle import moved
from .fonts import FontBook
from .overlay import draw_overlay
from .sample_pictures import beside, truth_of

AROUND = 0.75  # what a part shows around its boxes, in shares of their longer side
LEAST_PART = 96  # pixels of a side

Box = Sequence[float]  # x, y, w, h


class DetectionPictures:
    """Draws COCO results on the images of a data set. unreadable: why images could not be drawn, by index."""

    def __init__(self, cfg: Config, dataset: DetectionIndex):
        self._dataset, self._names = dataset, list(dataset.classes)
        self._labels = {one: k for k, one in enumerate(dataset.category_ids)}
        self._rules, self._fonts = ImageRules.from_config(cfg), FontBook(cfg.font)
        self.unreadable: dict[int, str] = {}

    def draw(self, index: int, results: Sequence[dict], around: Sequence[Box] = ()) -> np.ndarray | None:
        """(h, w, 3) uint8 BGR of image `index` of the data set, truth | prediction; None where it cannot be read.

        around: boxes of which the part shows the surroundings, each in a white frame; the whole image without them.
        """
        record = self._dataset.record(index)
        image = read_image(record, self._rules)
        if image is None:
            self.unreadable[index] = unreadable_reason(record)
            return None
        truth, found = truth_of(record, self._names), [self._entry(one) for one in results]
        if around:
            window = _window(around, record)
            x1, y1, x2, y2 = window
            image = image[y1:y2, x1:x2]
            truth, found = (_inside(entries, window) for entries in (truth, found))
            around = [(x - x1, y - y1, w, h) for x, y, w, h in around]
        return beside(
            draw_overlay(image, truth, fonts=self._fonts, with_scores=False, framed=around),
            draw_overlay(image, found, 0, self._fonts, framed=around),
        )

    def _entry(self, result: dict) -> dict:
        """A COCO result as `draw_overlay` takes it."""
        x, y, w, h = result["bbox"] if "bbox" in result else coco_mask.toBbox(result["segmentation"]).tolist()
        label = self._labels[result["category_id"]]
        mask = {"mask": result["segmentation"]} if "segmentation" in result else {}
        return {
            "bbox": {"x_min": x, "y_min": y, "width": w, "height": h},
            "class": {"label": label, "name": self._names[label]},
            "score": result["score"],
        } | mask


def _window(boxes: Sequence[Box], record: ImageRecord) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the part around the boxes, inside the image."""
    boxes = np.asarray(boxes, np.float64)
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    size = np.array([record.width, record.height])
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    side = max(LEAST_PART, float((high - low).max()) * (1 + 2 * AROUND))
    centre = (low + high) / 2
    first = np.clip(np.floor(centre - side / 2), 0, size - 1).astype(int)
    last = np.clip(np.ceil(centre + side / 2), first + 1, size).astype(int)
    return (*first.tolist(), *last.tolist())


def _inside(entries: Sequence[dict], window: tuple[int, int, int, int]) -> list[dict]:
    """The entries that reach into a part of the image, in its own pixels."""
    x1, y1, x2, y2 = window
    kept = []
    for one in entries:
        box = one["bbox"]
        left, top = box["x_min"] - x1, box["y_min"] - y1
        if left >= x2 - x1 or top >= y2 - y1 or left + box["width"] <= 0 or top + box["height"] <= 0:
            continue
        own = one | {"bbox": box | {"x_min": left, "y_min": top}}
        if "mask" in one:
            own["mask"] = moved(one["mask"], (y2 - y1, x2 - x1), (-y1, -x1))
        kept.append(own)
    return kept
