"""What training and evaluation see of a data set, for comparing them."""

from collections import Counter

import numpy as np
from pycocotools import mask as coco_mask

from src.data.formats.index import DetectionIndex
from src.data.pipeline import COLUMNS, HAS_MASK, DetectionSamples
from src.data.streams import SampleStreams
from src.evaluation.coco_eval import ground_truth


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


def entry(image_id: object, number: int = 1) -> dict:
    return {"id": image_id, "file_name": f"{number}.png", "width": 20, "height": 12}


def truth_of(dataset) -> list[dict]:
    return ground_truth(dataset).dataset["annotations"]
