"""The confusion matrix of a detector, background among its classes, as MMDetection defines it."""

import numpy as np

from .detection_matches import IGNORED, Matches


def confusion_matrix(matches: Matches, score_threshold: float = 0.3) -> np.ndarray:
    """(C + 1, C + 1) int64: truth down, prediction across, background last, of detections that reach the score.

    As MMDetection's `tools/analysis_tools/confusion_matrix.py` has it (its defaults: score 0.3, IoU 0.5): a detection
    counts once for every object, of whatever class, that it overlaps to the threshold of IoU, and once for background
    where there is none; an object of whose class no detection does so is taken for background. An object can be in a
    row more than once.

    Crowd regions are no objects here (there they are), and a detection that is ignored for one and overlaps no object
    is not counted.
    """
    background = len(matches.classes)
    found = np.zeros((background + 1, background + 1), np.int64)
    seen = matches.score >= score_threshold
    kept = seen[matches.pair_detection]
    detection, item = matches.pair_detection[kept], matches.pair_object[kept]
    np.add.at(found, (matches.object_label[item], matches.label[detection]), 1)
    lonely = seen & (matches.outcome != IGNORED)
    lonely[detection] = False
    np.add.at(found, (background, matches.label[lonely]), 1)
    is_found = np.zeros(len(matches.object_label), bool)
    is_found[item[matches.object_label[item] == matches.label[detection]]] = True
    np.add.at(found, (matches.object_label[~is_found], background), 1)
    return found
