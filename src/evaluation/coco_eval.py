"""COCO's detection metrics, printed as pycocotools does, each score with its protocol."""

import contextlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..data.formats.index import DetectionIndex

STATISTICS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
STATISTICS += ("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")
# kind: (prefix of its metrics, its name in the result line, its name in the closing line, the field it must not see)
KINDS = {
    "bbox": ("bbox", "Bbox", "bbox_mAP", "segmentation"),
    "segm": ("seg", "Segmentation", "segm_mAP", "bbox"),
}
NO_OBJECTS = -1.0  # pycocotools' value of a metric that no ground truth defines


def evaluate_predictions(dataset: DetectionIndex, results: list[dict], protocol: dict) -> dict[str, float]:
    """Box and mask metrics over every image of `dataset`, with predictions or without; prints tables and protocol.

    results: COCO results (see `to_coco_results`), possibly none: metrics are then 0. A metric that no ground-truth
    object defines is -1. protocol: what the scores depend on, printed beside them; the number of images is added.
    Returns bbox_mAP, bbox_AP50, ..., seg_mAP, seg_AP50, ... .
    """
    metrics: dict[str, float] = {}
    per_class: dict[str, list[float]] = {}
    truth = ground_truth(dataset)
    for kind, (prefix, title, _, _) in KINDS.items():
        evaluator = _run(truth, results, kind)
        metrics |= {f"{prefix}_{name}": float(value) for name, value in zip(STATISTICS, evaluator.stats)}
        per_class[kind] = _per_class_precision(evaluator, dataset.category_ids)
        print(f"{title} eval result: {metrics[f'{prefix}_mAP']}")
    print(_format_classes(dataset.classes, _objects_per_class(truth), per_class))
    if metrics["bbox_mAP"] == NO_OBJECTS:
        print("There is no ground-truth object to find in these images: metrics are -1, undefined.")
    print(format_protocol({"images": len(dataset.image_ids)} | protocol))
    for prefix, _, closing, _ in KINDS.values():
        print(f"{closing}: {metrics[f'{prefix}_mAP']:.4f}", flush=True)
    return metrics


def ground_truth(dataset: DetectionIndex) -> COCO:
    """The data set as pycocotools needs it: optional fields filled in; a copy, because evaluating rewrites masks."""
    images, categories = set(dataset.image_ids), set(dataset.category_ids)
    annotations = []
    for annotation in dataset.coco.dataset.get("annotations", []):
        if annotation.get("image_id") in images and annotation.get("category_id") in categories:
            x, y, w, h = box = annotation.get("bbox") or [0, 0, 0, 0]
            copy = {"iscrowd": 0, "area": w * h} | annotation
            copy["bbox"] = box
            copy["segmentation"] = annotation.get("segmentation") or [[x, y, x + w, y, x + w, y + h, x, y + h]]
            copy["id"] = len(annotations) + 1  # pycocotools takes an object of id 0 for no object
            annotations.append(copy)
    return _index(dataset.coco.loadImgs(dataset.image_ids), dataset.coco.loadCats(dataset.category_ids), annotations)


def format_protocol(protocol: dict) -> str:
    """One line: "Protocol: images 80, size 512x512, flip off, config 12ab, checkpoint 34cd"."""
    return "Protocol: " + ", ".join(f"{key} {value}" for key, value in protocol.items())


def _format_classes(names: Sequence[str], objects: list[int], per_class: dict[str, list[float]]) -> str:
    """AP of each class, box and mask, and the number of its objects; '-' where there are none."""
    width = max(len(name) for name in ("class", *names))
    lines = [f"{'class':<{width}}  objects  bbox AP  segm AP"]
    for k, name in enumerate(names):
        values = ["-" if per_class[kind][k] < 0 else f"{per_class[kind][k]:.3f}" for kind in KINDS]
        lines.append(f"{name:<{width}}  {objects[k]:>7}  {values[0]:>7}  {values[1]:>7}")
    return "\n".join(lines)


def _index(images: list[dict], categories: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(None):
        coco.createIndex()
    return coco


def _run(truth: COCO, results: list[dict], kind: str) -> COCOeval:
    """pycocotools' evaluation of one kind. A detection's area must be that of the kind: the other shape is left out."""
    hidden = KINDS[kind][3]
    detections = [{key: value for key, value in result.items() if key != hidden} for result in results]
    if detections:
        found = truth.loadRes(detections)
    else:  # loadRes looks at the first detection, which does not exist
        found = _index(truth.dataset["images"], truth.dataset["categories"], [])
    evaluator = COCOeval(truth, found, kind)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def _per_class_precision(evaluator: COCOeval, category_ids: Sequence[int]) -> list[float]:
    """AP at IoU 0.50:0.95 of each class, all areas, 100 detections an image; -1 for a class without objects."""
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # (IoU thresholds, recalls, classes by ascending id)
    by_category = dict(zip(evaluator.params.catIds, np.moveaxis(precision, 2, 0)))
    defined = [by_category[category][by_category[category] > -1] for category in category_ids]
    return [float(values.mean()) if len(values) else NO_OBJECTS for values in defined]


def _objects_per_class(truth: COCO) -> list[int]:
    counts = Counter(one["category_id"] for one in truth.dataset["annotations"] if not one["iscrowd"])
    return [counts[category["id"]] for category in truth.dataset["categories"]]
