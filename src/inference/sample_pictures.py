"""What a network says of a few labelled images, drawn beside the truth: for whoever watches it learn.

Each function takes the data set and how many of its images are drawn, and returns one that draws them by a network in
evaluation mode: the same images each time, in batches as an evaluation has them, so that no other graph is compiled.
An image that cannot be read is left out, which is said once.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..config import Config
from ..data.decoding import ImageRules
from ..data.formats.image_folder import ImageFolder
from ..data.formats.index import DetectionIndex, ImageRecord
from ..data.formats.segmentation_list import SegmentationDataset
from ..data.images import read_bgr, why_unreadable
from ..data.pipeline import read_image, unreadable_reason
from .classify import classify_files, known_class_names
from .fonts import FontBook
from .overlay import draw_class, draw_overlay
from .panels import coloured, in_a_row
from .predictors import make_predictor
from .results import to_json
from .segment import make_segmenter
from .truth import truth_of as truth_of
from .visualize import unique_stems

logger = logging.getLogger(__name__)

Draw = Callable[[object], dict[str, np.ndarray]]  # network -> (h, w, 3) uint8 BGR by name, truth | prediction
LONGEST_NAME = 200  # bytes; what tells two names apart, and a suffix, have room behind it
SCORE = 0.3  # from which on a detection is drawn in any case
RIGHT, WRONG = (80, 175, 76), (54, 67, 244)  # BGR behind a class


def detector_pictures(cfg: Config, dataset: DetectionIndex, count: int) -> Draw:
    """Of the first `count` images: boxes, masks where there are any, and class names.

    What is found is drawn from score 0.3 on, and below it the best, up to as many as there are objects: one sees what a
    young detector is about to learn.
    """
    rules, fonts = ImageRules.from_config(cfg), FontBook(cfg.font)
    first = range(min(count, len(dataset)))
    readable = [k for k in first if _is_readable(read_image(record := dataset.record(k), rules), record)]
    part = dataset.part(readable)
    records = [part.record(k) for k in range(len(part))]
    names = stems([record.path.name for record in records])
    class_names, ids = cfg.coco_classes[1:], dataset.category_ids

    def draw(model) -> dict[str, np.ndarray]:
        pictures = {}
        found = make_predictor(model, cfg).predict_dataset(part)
        for name, record, (_, prediction) in zip(names, records, found):
            image = read_image(record, rules)
            if image is not None and prediction is not None:
                objects = truth_of(record, class_names)
                predicted = to_json(prediction, class_names, ids)["predictions"]
                least = least_score([one["score"] for one in predicted], len(objects))
                truth = draw_overlay(image, objects, fonts=fonts, with_scores=False)
                pictures[name] = beside(truth, draw_overlay(image, predicted, least, fonts))
        return pictures

    return draw


def classifier_pictures(cfg: Config, dataset: ImageFolder, count: int) -> Draw:
    """Of `count` images evenly from the whole set, which stands class by class: the likeliest class, green if true."""
    rules, fonts = ImageRules.from_config(cfg), FontBook(cfg.font)
    items = [dataset.images[k] for k in spread(len(dataset.images), count)]
    known = known_class_names(cfg) or list(dataset.classes)

    def read(path: str) -> np.ndarray | None:
        return read_bgr(path, rules.upright, cfg.max_image_pixels, rules)

    items = [(path, label) for path, label in items if _is_there(read(path), path, cfg.max_image_pixels)]
    paths = [Path(path) for path, _ in items]
    names = stems([path.name for path in paths])

    def draw(model) -> dict[str, np.ndarray]:
        pictures = {}
        for name, (path, label), (_, best) in zip(names, items, classify_files(cfg, model, paths)):
            image = read(path)
            if image is not None and best is not None:
                own = [{"name": known[label], "label": label, "score": 1.0}]
                colour = RIGHT if best[0]["label"] == label else WRONG
                truth = draw_class(image, own, fonts, RIGHT, with_scores=False)
                pictures[name] = beside(truth, draw_class(image, best, fonts, colour))
        return pictures

    return draw


def segmenter_pictures(cfg: Config, dataset: SegmentationDataset, count: int) -> Draw:
    """Of the first `count` images: the class colours over them; ignored pixels show the image."""
    palette = dataset.labels.palette[..., ::-1]
    first = range(min(count, len(dataset)))
    readable = [k for k in first if _is_pair(dataset, k)]
    names = stems([Path(dataset.samples[k][0]).name for k in readable])

    def draw(model) -> dict[str, np.ndarray]:
        pictures, segmenter = {}, make_segmenter(cfg, model, dataset.labels)
        for name, index in zip(names, readable):
            image, label = dataset.read(index)
            if image is not None and label is not None:
                found = segmenter.scores(image).label_map(image.shape[:2])
                pictures[name] = beside(coloured(image, label, palette), coloured(image, found, palette))
        return pictures

    return draw


def least_score(scores: Sequence[float], objects: int) -> float:
    """0.3, or less where fewer than `objects` scores reach it: that of the last of so many."""
    best = sorted(scores, reverse=True)[:objects]
    return min([SCORE, *best])


def spread(total: int, count: int) -> list[int]:
    """`count` of `total` places, evenly, the first among them; all where there are no more."""
    count = min(count, total)
    return [k * total // count for k in range(count)]


def stems(names: Sequence[str]) -> list[str]:
    """A file name without suffix for each, all different, none of them too long for a file system."""
    return unique_stems([_cut(Path(name).stem) for name in names])


def beside(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Two pictures (h, w, 3) of one size in one, with a line above that says which is which; small ones enlarged."""
    return in_a_row({"truth": truth, "prediction": predicted})


def _cut(stem: str) -> str:
    return stem.encode(errors="surrogateescape")[:LONGEST_NAME].decode(errors="ignore") or "image"


def _is_readable(image: np.ndarray | None, record: ImageRecord) -> bool:
    return _say(image is not None, lambda: unreadable_reason(record))


def _is_there(image: np.ndarray | None, path: str, most_pixels: int) -> bool:
    return _say(image is not None, lambda: why_unreadable(path, most_pixels))


def _is_pair(dataset: SegmentationDataset, index: int) -> bool:
    return _say(all(one is not None for one in dataset.read(index)), lambda: dataset.why_unreadable(index))


def _say(is_good: bool, why: Callable[[], str]) -> bool:
    if not is_good:
        logger.warning("%s; it is not among the sample pictures", why())
    return is_good
