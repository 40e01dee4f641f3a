"""COCO's detection metrics of saved or fresh predictions, printed as pycocotools does, each score with its protocol."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.data.coco import CocoDataset
from src.errors import UserError

RESULT_KEYS = ("image_id", "category_id", "bbox", "score", "segmentation")
STATISTICS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
STATISTICS += ("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")
# pycocotools' name: (prefix of the metric's name, name in the seed's result line, name in the closing line, field it must not see)
KINDS = {
    "bbox": ("bbox", "Bbox", "bbox_mAP", "segmentation"),
    "segm": ("seg", "Segmentation", "segm_mAP", "bbox"),
}
NO_OBJECTS = -1.0  # pycocotools' value of a metric that no ground truth defines


def evaluate_predictions(dataset: CocoDataset, results: list[dict], protocol: dict) -> dict[str, float]:
    """Box and mask metrics over every image of `dataset`, with predictions or without; prints tables and protocol.

    results: COCO results (see `to_coco_results`), possibly none: metrics are then 0. A metric that no ground-truth object
    defines is -1. protocol: what the scores depend on, printed beside them; the number of images is added.
    Returns bbox_mAP, bbox_AP50, ..., seg_mAP, seg_AP50, ... .
    """
    metrics: dict[str, float] = {}
    per_class: dict[str, list[float]] = {}
    for kind, (prefix, title, _, _) in KINDS.items():
        evaluator = _run(dataset, results, kind)
        metrics |= {f"{prefix}_{name}": float(value) for name, value in zip(STATISTICS, evaluator.stats)}
        per_class[kind] = _per_class_precision(evaluator)
        print(f"{title} eval result: {metrics[f'{prefix}_mAP']}")
    print(format_class_table(dataset, per_class))
    if metrics["bbox_mAP"] == NO_OBJECTS:
        print("There is no ground-truth object to find in these images: metrics are -1, undefined.")
    print(format_protocol({"images": len(dataset.image_ids)} | protocol))
    for prefix, _, closing, _ in KINDS.values():
        print(f"{closing}: {metrics[f'{prefix}_mAP']:.4f}", flush=True)
    return metrics


def save_predictions(path: str | Path, results: list[dict], protocol: dict | None = None) -> None:
    """Write COCO results JSON whole or not at all; `protocol` goes into a second file beside it, see `load_protocol`."""
    path = Path(path)
    text = json.dumps(results)
    _write(path, text)
    if protocol is not None:
        _write(_protocol_path(path), json.dumps(protocol | {"predictions": _hash(text.encode())}, indent=1))


def load_predictions(path: str | Path, dataset: CocoDataset) -> list[dict]:
    """COCO results from a file; UserError, naming it, unless they are results for images and classes of `dataset`."""
    try:
        results = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(results, list):
        raise UserError(f"{path}: COCO results are a list of detections, this is a {type(results).__name__}")
    sizes = {image_id: _size(dataset, image_id) for image_id in dataset.image_ids}
    categories = set(dataset.category_ids)
    for number, result in enumerate(results):
        if problem := _problem(result, sizes, categories):
            raise UserError(f"{path}: detection {number} {problem}")
    return results


def load_protocol(path: str | Path) -> dict:
    """Protocol under which the predictions of `path` were made: unknown, but for the file's hash, unless saved with them."""
    digest = _hash(Path(path).read_bytes())
    try:
        protocol = json.loads(_protocol_path(Path(path)).read_bytes())
    except (OSError, ValueError):
        protocol = {}
    if not isinstance(protocol, dict) or protocol.get("predictions") != digest:
        protocol = {key: "unknown" for key in ("size", "flip", "config", "checkpoint")}
    return protocol | {"predictions": digest}


def format_protocol(protocol: dict) -> str:
    """One line: "Protocol: images 80, size 512x512, flip off, config 12ab, checkpoint 34cd"."""
    return "Protocol: " + ", ".join(f"{key} {value}" for key, value in protocol.items())


def format_class_table(dataset: CocoDataset, per_class: dict[str, Sequence[float]]) -> str:
    """AP of each class, box and mask, and the number of its objects; '-' where there are none."""
    objects = _objects_per_class(dataset)
    width = max(len("class"), *(len(name) for name in dataset.classes))
    lines = [f"{'class':<{width}}  objects  bbox AP  segm AP"]
    for k, name in enumerate(dataset.classes):
        values = ["-" if per_class[kind][k] < 0 else f"{per_class[kind][k]:.3f}" for kind in KINDS]
        lines.append(f"{name:<{width}}  {objects[k]:>7}  {values[0]:>7}  {values[1]:>7}")
    return "\n".join(lines)


def _run(dataset: CocoDataset, results: list[dict], kind: str) -> COCOeval:
    """pycocotools' evaluation of one kind. Areas of detections must be those of the kind, so the other shape is left out."""
    hidden = KINDS[kind][3]
    detections = [{key: value for key, value in result.items() if key != hidden} for result in results]
    evaluator = COCOeval(dataset.coco, _as_coco(dataset.coco, detections), kind)
    evaluator.params.imgIds = sorted(dataset.image_ids)
    evaluator.params.catIds = list(dataset.category_ids)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def _as_coco(truth: COCO, detections: list[dict]) -> COCO:
    if detections:
        return truth.loadRes(detections)
    empty = COCO()  # loadRes looks at the first detection, which may not exist
    empty.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
    empty.createIndex()
    return empty


def _per_class_precision(evaluator: COCOeval) -> list[float]:
    """AP at IoU 0.50:0.95 of each class, all areas, 100 detections an image; -1 for a class without objects."""
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # (IoU thresholds, recalls, classes)
    return [float(values[values > -1].mean()) if (values > -1).any() else NO_OBJECTS for values in np.moveaxis(precision, 2, 0)]


def _objects_per_class(dataset: CocoDataset) -> list[int]:
    images = set(dataset.image_ids)
    counts = dict.fromkeys(dataset.category_ids, 0)
    for annotation in dataset.coco.dataset.get("annotations", []):
        if annotation["image_id"] in images and annotation["category_id"] in counts and not annotation.get("iscrowd"):
            counts[annotation["category_id"]] += 1
    return list(counts.values())


def _problem(result: object, sizes: dict[int, list[int]], categories: set[int]) -> str:
    """What is wrong with one detection, or nothing."""
    if not isinstance(result, dict):
        return f"is a {type(result).__name__}, not an object"
    if missing := [key for key in RESULT_KEYS if key not in result]:
        return f"has no {', '.join(missing)}"
    if not isinstance(result["image_id"], int) or result["image_id"] not in sizes:
        return f"is of image {result['image_id']!r}, which is not in the data set"
    if not isinstance(result["category_id"], int) or result["category_id"] not in categories:
        return f"has category {result['category_id']!r}; the data set has {sorted(categories)}"
    box = result["bbox"]
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)):
        return f"has bbox {box!r}, not [x, y, width, height]"
    if not isinstance(result["score"], int | float):
        return f"has score {result['score']!r}, not a number"
    mask = result["segmentation"]
    if not (isinstance(mask, dict) and isinstance(mask.get("counts"), str)):
        return "has a segmentation that is no compressed RLE {size, counts}"
    if mask.get("size") != sizes[result["image_id"]]:
        return f"has a mask of size {mask.get('size')}; its image has {sizes[result['image_id']]}"
    return ""


def _size(dataset: CocoDataset, image_id: int) -> list[int]:
    image = dataset.coco.imgs[image_id]
    return [image["height"], image["width"]]


def _protocol_path(path: Path) -> Path:
    return path.with_name(path.name + ".protocol")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _write(path: Path, text: str) -> None:
    """Write a file through a temporary one beside it, so that no reader and no kill ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
