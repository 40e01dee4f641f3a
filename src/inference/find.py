"""From images to what is found on them, one after the other with bounded memory: `Predict` of each kind of network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Protocol

from ..config import Config
from ..config.thresholds import chosen_thresholds, class_thresholds
from ..data.formats.fields import Id
from ..data.label_sets import label_set
from ..data.pictures import ImageSource
from ..errors import UserError
from .classify import classify_files
from .found import Found, FoundClasses, FoundMap, FoundObjects, Look
from .predictors import make_predictor
from .segment import make_segmenter
from .segment_files import label_maps

Threshold = Real | str | Mapping[str, float] | None


class Predict(Protocol):
    """(name, what is found there) of files and pictures in memory, in their order; None where one cannot be read.

    score_thr: least score, or that of each class by its name, of a detector's objects; that of the configuration by
    default. UserError where there are no such scores. Each call stands by itself: several threads may be at it.
    """

    def __call__(
        self, images: Iterable[ImageSource], score_thr: Threshold = None
    ) -> Iterator[tuple[str, Found | None]]: ...


def objects_on(cfg: Config, model, category_ids: list[Id] | None) -> Predict:
    """Of a detector; category_ids: what its data set calls the classes, if that is known."""
    look, names = Look.from_config(cfg), cfg.coco_classes[1:]
    usual = class_thresholds(cfg.infer_score_thr, names, "infer_score_thr")

    def predict(images: Iterable[ImageSource], score_thr: Threshold = None) -> Iterator[tuple[str, Found | None]]:
        least = usual if score_thr is None else chosen_thresholds(score_thr, names, "score_thr")
        waiting: deque[ImageSource] = deque()

        def noted() -> Iterator[ImageSource]:
            for image in images:
                waiting.append(image)
                yield image

        for name, prediction in make_predictor(model, cfg).predict_files(noted()):
            source = waiting.popleft()
            if prediction is None:
                yield name, None
            else:
                yield name, FoundObjects(source, look, prediction.above(least), names, category_ids)

    return predict


def map_of(cfg: Config, model) -> Predict:
    """Of a segmenter."""
    look, labels = Look.from_config(cfg), label_set(cfg)
    segmenter = make_segmenter(cfg, model, labels)

    def predict(images: Iterable[ImageSource], score_thr: Threshold = None) -> Iterator[tuple[str, Found | None]]:
        _refuse(score_thr)
        for source, _, label in label_maps(cfg, segmenter, images):
            yield str(source), None if label is None else FoundMap(source, look, label, labels)

    return predict


def classes_of(cfg: Config, model) -> Predict:
    """Of a classifier, with `class_names` as far as they are known."""
    look = Look.from_config(cfg)

    def predict(images: Iterable[ImageSource], score_thr: Threshold = None) -> Iterator[tuple[str, Found | None]]:
        _refuse(score_thr)
        for source, best in classify_files(cfg, model, images):
            yield str(source), None if best is None else FoundClasses(source, look, best)

    return predict


def entries_of(predict: Predict) -> Callable[[Iterable[ImageSource]], Iterator[tuple[str, dict | None]]]:
    """The same with results as JSON has them."""

    def entries(images: Iterable[ImageSource]) -> Iterator[tuple[str, dict | None]]:
        for name, found in predict(images):
            yield name, None if found is None else found.to_json()

    return entries


def _refuse(score_thr: Threshold) -> None:
    if score_thr is not None:
        raise UserError("score_thr is of objects, which this network does not find: leave it out")
