"""What training and evaluation see of a data set, for comparing them."""

from collections import Counter

import numpy as np
from pycocotools import mask as coco_mask

from src.data.formats.index import DetectionIndex, is_there
from src.data.inspection import annotated_images
from src.data.pipeline import COLUMNS, HAS_MASK, DetectionSamples
from src.data.streams import SampleStreams
from src.evaluation.coco_eval import evaluate_predictions, ground_truth
from tests.odd_values import is_one_line


def learned(dataset: DetectionIndex, cfg) -> Counter:
    """(image id, label, has a mask) of every object of the training samples; label 0 is a crowd."""
    samples = DetectionSamples(dataset, list(range(len(dataset))), cfg)
    found: Counter = Counter()
    for entry, index in enumerate(samples.keys):
        item = samples.read(entry)
        if item is None:
            continue
        columns = dict(zip(samples.columns, samples.make(item, SampleStreams(0, 0, index))))
        assert tuple(columns)[: len(COLUMNS)] == COLUMNS
        has_mask = columns.get(HAS_MASK, np.ones(cfg.num_gts, bool))
        for label, masked in zip(columns["gt_labels"], has_mask):
            if label:
                is_crowd = label < 0
                found[dataset.image_ids[index], 0 if is_crowd else int(label), bool(is_crowd or masked)] += 1
    return found


def scored(dataset: DetectionIndex) -> Counter:
    """The same of the ground truth."""
    labels = {own: label for label, own in enumerate(dataset.category_ids, start=1)}
    return Counter(
        (one["image_id"], 0 if one["iscrowd"] else labels[one["category_id"]], bool(one["iscrowd"] or one["has_mask"]))
        for one in ground_truth(dataset).dataset["annotations"]
    )


def perfect_results(dataset: DetectionIndex) -> list[dict]:
    """COCO results that find every object, crowds too."""
    truth = ground_truth(dataset)
    results = []
    for one in truth.dataset["annotations"]:
        code = coco_mask.encode(np.asfortranarray(truth.annToMask(one)))
        mask = {"size": code["size"], "counts": code["counts"].decode()}
        ids = {"image_id": one["image_id"], "category_id": one["category_id"]}
        results.append(ids | {"bbox": list(one["bbox"]), "score": 0.9, "segmentation": mask})
    return results


class Agreement:
    """Called with a data set: '' where training and evaluation agree on it, otherwise on what they do not."""

    def __init__(self, cfg):
        self.cfg, self._seen = cfg, set()

    def __call__(self, dataset: DetectionIndex) -> str:
        if not all(map(is_one_line, annotated_images(dataset, "kept", self.cfg.num_gts))):
            return "a line that is none"
        read = repr((dataset.classes, dataset.category_ids, [dataset.record(k) for k in range(len(dataset))]))
        if read in self._seen:  # of what is read alike the rest is done once
            return ""
        self._seen.add(read)
        there = {dataset.image_ids[k] for k in range(len(dataset)) if is_there(dataset.record(k).path)}
        if learned(dataset, self.cfg) != {key: count for key, count in scored(dataset).items() if key[0] in there}:
            return "training and evaluation disagree"
        metrics = evaluate_predictions(dataset, perfect_results(dataset), {})
        is_perfect = all(metrics[name] in (1, -1) for name in ("bbox_AR100", "seg_AR100"))
        return "" if is_perfect else f"perfect predictions score {metrics['bbox_AR100']}, {metrics['seg_AR100']}"


def entry(image_id: object, number: int = 1) -> dict:
    return {"id": image_id, "file_name": f"{number}.png", "width": 20, "height": 12}


def truth_of(dataset) -> list[dict]:
    return ground_truth(dataset).dataset["annotations"]
