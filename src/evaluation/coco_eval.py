"""COCO's detection metrics, printed as pycocotools does, each score with its protocol."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ..data.formats.fields import Id
from ..data.formats.ids import order
from ..data.formats.index import DetectionIndex, outline
from ..reading import without_collection
from .mask_eval import MaskEval
from .table_eval import LIMIT, Entries, MatchTable, TableEval

STATISTICS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
STATISTICS += ("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")
# kind: (prefix of its metrics, its name in the result line, its name in the closing line, the field that it looks at)
KINDS = {
    "bbox": ("bbox", "Bbox", "bbox_mAP", "bbox"),
    "segm": ("seg", "Segmentation", "segm_mAP", "segmentation"),
}
NO_OBJECTS = -1.0  # pycocotools' value of a metric that no ground truth defines
TOGETHER = 4096  # masks whose areas are worked out together
AREAS = ("all", "small", "medium", "large")  # below 32 x 32 pixels, below 96 x 96, above


@dataclass(frozen=True)
class KindScores:
    """What the boxes, or the masks, score. C classes in the data set's order; -1 where a class has no object.

    statistics: by the names of STATISTICS. precision: (10, 101, C, 4) at the thresholds of IoU 0.50, 0.55, ... 0.95,
    the recalls 0, 0.01, ... 1 and in each of AREAS, of 100 detections an image and class; scores: of the same shape,
    the score at which it is had; recall: (10, C, 4). table: what became of every detection, its images in the order of
    the truth's.
    """

    statistics: dict[str, float]
    precision: np.ndarray
    scores: np.ndarray
    recall: np.ndarray
    table: MatchTable

    def per_class(self, area: str = "all", iou: float | None = None) -> list[float]:
        """AP of each class, at one threshold of IoU or over all of them."""
        thresholds = slice(None) if iou is None else [round((iou - 0.5) * 20)]
        values = self.precision[thresholds, :, :, AREAS.index(area)]
        defined = (one[one > -1] for one in np.moveaxis(values, 2, 0))
        return [float(one.mean()) if len(one) else NO_OBJECTS for one in defined]


@dataclass(frozen=True)
class DetectionScores:
    """metrics: see `evaluate_predictions`; kinds: by the names of KINDS; objects: of each class, without crowds;
    protocol: what was printed beside them."""

    metrics: dict[str, float]
    kinds: dict[str, KindScores]
    truth: COCO
    objects: list[int]
    protocol: dict


def evaluate_predictions(
    dataset: DetectionIndex, results: list[dict], protocol: dict, has_masks: bool = True
) -> dict[str, float]:
    """Box and mask metrics over every image of `dataset`, with predictions or without; prints tables and protocol.

    results: COCO results (see `to_coco_results`), possibly none: metrics are then 0. Where none of them has a box, or
    none a mask, there are no metrics of that kind. A metric that no ground-truth object defines is -1. protocol: what
    the scores depend on, printed beside them; the number of images is added. has_masks: the detector gives masks, so
    that there are metrics of them where it finds nothing.
    Returns bbox_mAP, bbox_AP50, ..., seg_mAP, seg_AP50, ... .
    """
    return score_predictions(dataset, results, protocol, has_masks).metrics


@without_collection()
def score_predictions(
    dataset: DetectionIndex, results: list[dict], protocol: dict, has_masks: bool = True, all_count: bool = False
) -> DetectionScores:
    """`evaluate_predictions` with all that it has found out.

    all_count: no detection is left out for being beyond the 100th of its image and class (AR100 is then of all).
    """
    metrics: dict[str, float] = {}
    kinds: dict[str, KindScores] = {}
    truth = ground_truth(dataset)
    for kind in _kinds_of(results, has_masks):
        prefix, title, _, _ = KINDS[kind]
        kinds[kind] = _scores(_run(truth, results, kind, all_count), truth)
        metrics |= {f"{prefix}_{name}": value for name, value in kinds[kind].statistics.items()}
        print(f"{title} eval result: {metrics[f'{prefix}_mAP']}")
    objects = _objects_per_class(truth)
    print(_format_classes(dataset.classes, objects, {kind: one.per_class() for kind, one in kinds.items()}))
    if not any(objects):
        print("There is no ground-truth object to find in these images: metrics are -1, undefined.")
    elif metrics.get("seg_mAP") == NO_OBJECTS:
        print("No ground-truth object has a mask: the metrics of masks are -1, undefined.")
    elif "segm" in kinds and (bare := _objects_without_mask(truth)):
        print(f"{bare} of {sum(objects)} objects have no mask: the segm table ignores predicted masks on them.")
    protocol = {"images": len(truth.imgs)} | protocol
    print(format_protocol(protocol))
    for kind in kinds:
        prefix, _, closing, _ = KINDS[kind]
        print(f"{closing}: {metrics[f'{prefix}_mAP']:.4f}", flush=True)
    return DetectionScores(metrics, kinds, truth, objects, protocol)


def ground_truth(dataset: DetectionIndex) -> COCO:
    """The data set's truth as pycocotools needs it; a copy, because evaluating rewrites masks.

    An object without a mask gets the outline of its box, and `has_mask` False.
    """
    images = [image_id for image_id in dataset.image_ids if image_id in dataset.coco.imgs]
    known_images, categories = set(images), set(dataset.category_ids)
    annotations = []
    for annotation in dataset.coco.dataset.get("annotations", []):
        if annotation.get("image_id") in known_images and annotation.get("category_id") in categories:
            x, y, w, h = box = annotation.get("bbox") or [0, 0, 0, 0]
            copy = {"iscrowd": 0, "area": w * h} | annotation | {"bbox": box}
            copy["has_mask"] = bool(annotation.get("segmentation"))
            copy["segmentation"] = annotation.get("segmentation") or outline((x, y, x + w, y + h))
            copy["id"] = len(annotations) + 1  # pycocotools takes an object of id 0 for no object
            annotations.append(copy)
    return _index(dataset.coco.loadImgs(images), dataset.coco.loadCats(dataset.category_ids), annotations)


def format_protocol(protocol: dict) -> str:
    """One line: "Protocol: images 80, size 512x512, flip off, config 12ab, checkpoint 34cd"."""
    return "Protocol: " + ", ".join(f"{key} {value}" for key, value in protocol.items())


def _kinds_of(results: list[dict], has_masks: bool) -> list[str]:
    """The kinds that the results can be scored by; what they lack is said, unless the detector gives no masks."""
    kinds = []
    for kind, (_, title, _, shape) in KINDS.items():
        count = sum(shape in result for result in results)
        is_expected = kind == "bbox" or has_masks
        if count or (not results and is_expected):
            kinds.append(kind)
        if count < len(results) and (count or is_expected):
            what = {"bbox": "box", "segm": "mask"}[kind]
            fate = "they take no part in" if count else "there is no"
            print(f"{len(results) - count} of {len(results)} predictions have no {what}: {fate} {title} evaluation")
    return kinds


def _format_classes(names: Sequence[str], objects: list[int], per_class: dict[str, list[float]]) -> str:
    """AP of each class by each kind, and the number of its objects; '-' where there are none."""
    width = max(len(name) for name in ("class", *names))
    lines = ["  ".join([f"{'class':<{width}}", "objects", *(f"{kind} AP" for kind in per_class)])]
    for k, name in enumerate(names):
        values = ["-" if found[k] < 0 else f"{found[k]:.3f}" for found in per_class.values()]
        lines.append("  ".join([f"{name:<{width}}", f"{objects[k]:>7}", *(f"{value:>7}" for value in values)]))
    return "\n".join(lines)


def _index(images: list[dict], categories: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(None):
        coco.createIndex()
    return coco


def _numbers(ids: Iterable[Id]) -> dict[Id, int]:
    """1, 2, ... in the order of the ids: pycocotools sorts them, which texts among numbers do not bear."""
    return {one: number for number, one in enumerate(sorted(ids, key=order), start=1)}


def _run(truth: COCO, results: list[dict], kind: str, all_count: bool = False) -> TableEval:
    """pycocotools' evaluation of one kind, its images and categories by `_numbers`.

    A detection's area is that of the kind. An object without a mask is a region to ignore where masks are scored, see
    `MaskEval`.
    """
    shape = KINDS[kind][3]
    detections = [result for result in results if shape in result]
    if detections:
        print("Loading and preparing results...")
    started = time.time()
    images, categories = _numbers(truth.imgs), _numbers(truth.cats)
    objects = _objects(truth, kind, images, categories)
    image, label = _places(detections, images, categories)
    score = np.array([one["score"] for one in detections], np.float64)
    if kind == "bbox":
        shapes = _boxes(detections)
        with np.errstate(over="ignore"):
            area = shapes[:, 2] * shapes[:, 3]
    else:
        shapes = [one[shape] for one in detections]
        parts = (coco_mask.area(shapes[first : first + TOGETHER]) for first in range(0, len(shapes), TOGETHER))
        area = np.concatenate([np.zeros(0), *parts])
    if detections:
        print(f"DONE (t={time.time() - started:0.2f}s)\ncreating index...\nindex created!")
    found = Entries(image, label, area, shapes, score)
    evaluator = (MaskEval if kind == "segm" else TableEval)(objects, found, kind, len(images), len(categories))
    if all_count and detections:
        each = np.unique(image.astype(np.int64) * len(categories) + label, return_counts=True)[1]
        evaluator.params.maxDets[-1] = max(LIMIT, int(each.max()))
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def _objects(truth: COCO, kind: str, images: dict[Id, int], categories: dict[Id, int]) -> Entries:
    annotations = truth.dataset["annotations"]
    image, label = _places(annotations, images, categories)
    area = np.array([one["area"] for one in annotations], np.float64)
    is_crowd = np.array([bool(one["iscrowd"]) for one in annotations], bool)
    if kind == "bbox":
        return Entries(image, label, area, _boxes(annotations), is_crowd=is_crowd)
    is_bare = np.array(list(map(_is_bare, annotations)), bool)
    shapes = list(map(truth.annToRLE, annotations))
    return Entries(image, label, area, shapes, is_crowd=is_crowd | is_bare, is_bare=is_bare)


def _places(entries: list[dict], images: dict[Id, int], categories: dict[Id, int]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) each: indices of the images and of the categories in the order of their numbers."""
    return tuple(
        np.array([numbers[one[key]] for one in entries], np.int32) - np.int32(1)
        for numbers, key in ((images, "image_id"), (categories, "category_id"))
    )


def _boxes(entries: list[dict]) -> np.ndarray:
    return np.array([one["bbox"] for one in entries], np.float64).reshape(-1, 4)


def _scores(evaluator: TableEval, truth: COCO) -> KindScores:
    """What an evaluation has found, its images and classes in the order of the truth instead of that of their numbers.
    """
    numbers = (_numbers(truth.imgs), _numbers(truth.cats))
    own = [
        np.array([numbered[one["id"]] - 1 for one in truth.dataset[key]], np.int32)
        for numbered, key in zip(numbers, ("images", "categories"))
    ]
    classes = own[1]
    return KindScores(
        dict(zip(STATISTICS, map(float, evaluator.stats))),
        evaluator.eval["precision"][..., -1][:, :, classes],
        evaluator.eval["scores"][..., -1][:, :, classes],
        evaluator.eval["recall"][..., -1][:, classes],
        evaluator.table.renumbered(*(np.argsort(one).astype(np.int32) for one in own)),
    )


def _is_bare(annotation: dict) -> bool:
    """An object without a mask; of a crowd the outline of its box is taken as it is."""
    return not annotation["has_mask"] and not annotation["iscrowd"]


def _objects_without_mask(truth: COCO) -> int:
    return sum(map(_is_bare, truth.dataset["annotations"]))


def _objects_per_class(truth: COCO) -> list[int]:
    counts = Counter(one["category_id"] for one in truth.dataset["annotations"] if not one["iscrowd"])
    return [counts[category["id"]] for category in truth.dataset["categories"]]
