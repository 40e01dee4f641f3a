"""What is found on an image, as Python has it: objects, a label map or classes; drawn, as JSON, for `supervision`.

A result holds no pixels of its image but the source that it was read from: `image()` and `draw()` read a file again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..config import Config
from ..config.thresholds import chosen_thresholds
from ..data.decoding import USUAL_RULES, ImageRules
from ..data.formats.fields import Id
from ..data.images import MAX_PIXELS, why_unreadable
from ..data.label_sets import LabelSet
from ..data.pictures import ImageSource, read_any
from ..errors import UserError
from .fonts import FontBook
from .panels import coloured
from .results import ImagePrediction, to_json
from .visualize import draw_class, draw_overlay

ALL = -float("inf")  # a threshold that every score reaches


@dataclass(frozen=True)
class Look:
    """How images are read, and the fonts of what is drawn on them."""

    max_pixels: int = MAX_PIXELS
    rules: ImageRules = USUAL_RULES
    fonts: FontBook = field(default_factory=FontBook)

    @classmethod
    def from_config(cls, cfg: Config) -> "Look":
        return cls(cfg.max_image_pixels, ImageRules.from_config(cfg), FontBook(cfg.font))


@dataclass(frozen=True, eq=False)
class Found(ABC):
    """What is found on one image. source: its file, or the picture in memory."""

    source: ImageSource
    look: Look = field(repr=False)

    @property
    def name(self) -> str:
        """The path, or what stands for it."""
        return str(self.source)

    def image(self) -> np.ndarray:
        """(h, w, 3) uint8 RGB, as the network saw it. UserError where its file cannot be read any more, or has another
        size now.
        """
        return np.ascontiguousarray(self._bgr()[..., ::-1])

    def draw(self) -> np.ndarray:
        """(h, w, 3) uint8 RGB: the image with what was found. With objects and classes one whose longer side is below
        384 pixels is enlarged by a whole factor, as labels need room. UserError as `image`.
        """
        return np.ascontiguousarray(self._drawn(self._bgr())[..., ::-1])

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""

    @abstractmethod
    def to_supervision(self) -> Any:
        """What the package `supervision` has for it. UserError where that is not installed."""

    @abstractmethod
    def _drawn(self, bgr: np.ndarray) -> np.ndarray:
        """The image (h, w, 3) uint8 BGR with what was found."""

    def _bgr(self) -> np.ndarray:
        image = read_any(self.source, self.look.max_pixels, self.look.rules)
        if image is None:
            raise UserError(why_unreadable(str(self.source), self.look.max_pixels))
        if self._size not in (None, image.shape[:2]):
            (height, width), (new_height, new_width) = self._size, image.shape[:2]
            raise UserError(f"{self.source} has changed: it was {width} x {height} and is {new_width} x {new_height}")
        return image

    @property
    def _size(self) -> tuple[int, int] | None:
        """(h, w) of the image that was read, if it is known."""
        return None


@dataclass(frozen=True, eq=False)
class FoundObjects(Found):
    """Of a detector, best first. class_names: of all classes; category_ids: what the data set calls them, if known."""

    prediction: ImagePrediction = field(repr=False)
    class_names: Sequence[str] = field(repr=False)
    category_ids: Sequence[Id] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.prediction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} objects)"

    @property
    def height(self) -> int:
        """Of the image, in pixels, as is the width."""
        return self.prediction.height

    @property
    def width(self) -> int:
        return self.prediction.width

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float32: left, top, right, bottom in the image's pixels."""
        return self.prediction.boxes

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32."""
        return self.prediction.scores

    @property
    def labels(self) -> np.ndarray:
        """(N,) int32: 0 is the first class."""
        return self.prediction.labels

    @property
    def names(self) -> list[str]:
        """The class of each."""
        return [self.class_names[label] for label in self.labels]

    @property
    def codes(self) -> list[dict] | None:
        """COCO's compressed run-length code of each mask; None of a detector without masks."""
        return self.prediction.masks

    @cached_property
    def masks(self) -> np.ndarray | None:
        """(N, h, w) bool, decoded when it is first asked for; None of a detector without masks."""
        if self.codes is None:
            return None
        masks = np.zeros((len(self), self.height, self.width), bool)
        for mask, code in zip(masks, self.codes):
            mask[:] = coco_mask.decode(code)
        return masks

    def above(self, score_thr: Real | str | Mapping[str, float] | Sequence[float]) -> "FoundObjects":
        """Those whose score is `score_thr` at least: a number, those of the classes by name or in order, or a file of a
        report. UserError where it is none of these.
        """
        if isinstance(score_thr, list | tuple | np.ndarray) and len(score_thr) == len(self.class_names):
            score_thr = dict(zip(self.class_names, score_thr))
        kept = self.prediction.above(chosen_thresholds(score_thr, self.class_names, "score_thr"))
        return FoundObjects(self.source, self.look, kept, self.class_names, self.category_ids)

    def to_json(self) -> dict[str, Any]:
        """The image's entry in infer.py's file."""
        return to_json(self.prediction, self.class_names, self.category_ids)

    def to_supervision(self) -> Any:
        """`supervision.Detections`; `data["class_name"]` has the names."""
        data = {"class_name": np.array(self.names, dtype=str)}
        parts = {"mask": self.masks if len(self) else None, "confidence": self.scores, "class_id": self.labels}
        return _supervision().Detections(self.boxes, **parts, data=data)

    @property
    def _size(self) -> tuple[int, int]:
        return self.height, self.width

    def _drawn(self, bgr: np.ndarray) -> np.ndarray:
        return draw_overlay(bgr, self.to_json()["predictions"], ALL, self.look.fonts)


@dataclass(frozen=True, eq=False)
class FoundMap(Found):
    """Of a segmenter. label_map: (h, w) uint8, 0 is the first class."""

    label_map: np.ndarray = field(repr=False)
    classes: LabelSet = field(repr=False)

    @property
    def height(self) -> int:
        """Of the image, in pixels, as is the width."""
        return self.label_map.shape[0]

    @property
    def width(self) -> int:
        return self.label_map.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, in label order."""
        return self.classes.names

    @property
    def palette(self) -> np.ndarray:
        """(C, 3) uint8 RGB: the colour of each class."""
        return self.classes.palette

    def to_json(self) -> dict[str, Any]:
        """`height`, `width` and `classes`: of each that is there its `label`, `name`, `pixels` and its `mask` as COCO's
        compressed run-length code.
        """
        found = [
            {"label": label, "name": self.names[label], "pixels": int(mask.sum()), "mask": _encoded(mask)}
            for label, mask in self._parts()
        ]
        return {"height": self.height, "width": self.width, "classes": found}

    def to_supervision(self) -> Any:
        """`supervision.Detections` with a mask, and the box around it, for each class that is there."""
        supervision, parts = _supervision(), self._parts()
        labels, masks = [label for label, _ in parts], np.array([mask for _, mask in parts])
        data = {"class_name": np.array([self.names[label] for label in labels], dtype=str)}
        return supervision.Detections(supervision.mask_to_xyxy(masks), masks, class_id=np.array(labels), data=data)

    def _parts(self) -> list[tuple[int, np.ndarray]]:
        return [(int(label), self.label_map == label) for label in np.unique(self.label_map)]

    @property
    def _size(self) -> tuple[int, int]:
        return self.label_map.shape

    def _drawn(self, bgr: np.ndarray) -> np.ndarray:
        return coloured(bgr, self.label_map, self.palette[..., ::-1])


@dataclass(frozen=True, eq=False)
class FoundClasses(Found):
    """Of a classifier: its likeliest classes, best first. best: of each its `label`, `name` and `score`."""

    best: list[dict[str, Any]]

    @property
    def labels(self) -> np.ndarray:
        """(k,) int32: 0 is the first class."""
        return np.array([one["label"] for one in self.best], np.int32)

    @property
    def names(self) -> list[str]:
        """Of these classes; 'unknown' where neither configuration nor data tell."""
        return [one["name"] for one in self.best]

    @property
    def scores(self) -> np.ndarray:
        """(k,) float64; those of all classes add up to 1."""
        return np.array([one["score"] for one in self.best], np.float64)

    def to_json(self) -> dict[str, Any]:
        """The image's entry in infer.py's file."""
        return {"predictions": self.best}

    def to_supervision(self) -> Any:
        """`supervision.Classifications` of these classes."""
        return _supervision().Classifications(self.labels, self.scores)

    def _drawn(self, bgr: np.ndarray) -> np.ndarray:
        return draw_class(bgr, self.best, self.look.fonts)


def _encoded(mask: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def _supervision() -> Any:
    try:
        import supervision
    except ImportError:
        raise UserError("to_supervision() needs the package supervision: pip install supervision") from None
    return supervision


