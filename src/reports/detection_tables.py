"""The tables of a detector's report, as header and rows: what the page shows and its CSV files hold."""

from collections.abc import Sequence

import numpy as np

from ..data.formats.index import DetectionIndex
from ..evaluation.coco_eval import AREAS, KINDS, STATISTICS
from ..evaluation.detection_matches import OUTCOMES
from ..evaluation.detection_report import SCORE, DetectionReport

Table = tuple[Sequence[str], list[list]]
BACKGROUND = "background"
MOST_SCORES = 1000  # rows of a class's curve


def scores(report: DetectionReport) -> Table:
    """COCO's twelve numbers of each kind."""
    kinds = report.scores.kinds
    rows = [[name, *(_defined(one.statistics[name]) for one in kinds.values())] for name in STATISTICS]
    return ("metric", *kinds), rows


def classes(report: DetectionReport) -> Table:
    """Each class: its APs; what is right at the working score; the best threshold and what is right from there on.

    Nothing stands where no detection, or no object, defines a number.
    """
    kinds, names = report.scores.kinds, report.matches.classes
    header = ["class", "objects"]
    columns: list[Sequence] = [names, report.scores.objects]
    for kind, one in kinds.items():
        for ap, iou in (("AP", None), ("AP50", 0.5), ("AP75", 0.75)):
            header.append(f"{kind} {ap}")
            columns.append([_defined(value) for value in one.per_class(iou=iou)])
    counts = report.analysis.classes.values()
    header += ["detections", "correct", "precision", "recall", "F1"]
    columns += [[getattr(one, key) for one in counts] for key in ("detections", "correct")]
    columns.append([one.precision if one.detections else None for one in counts])
    columns.append([one.recall if one.objects else None for one in counts])
    columns.append([one.f1 if one.objects or one.detections else None for one in counts])
    header += ["threshold", "best precision", "best recall", "best F1"]
    for key in ("scores", "precision", "recall", "f1"):
        columns.append([None if one.best is None else float(getattr(one, key)[one.best]) for one in report.curves])
    return header, [list(row) for row in zip(*columns)]


def sizes(report: DetectionReport) -> Table:
    """AP and AR of all objects, and of small, medium and large ones."""
    rows = []
    for kind, one in report.scores.kinds.items():
        objects = report.objects_by_size(kind).sum(axis=0).tolist()
        for k, area in enumerate(AREAS):
            ap, ar = ("mAP", "AR100") if area == "all" else (f"AP_{area}", f"AR_{area}")
            rows.append([kind, area, objects[k], *(_defined(one.statistics[name]) for name in (ap, ar))])
    return ("kind", "size", "objects", "AP", "AR"), rows


def class_sizes(report: DetectionReport) -> Table:
    """AP of each class and size."""
    rows = []
    for kind, one in report.scores.kinds.items():
        objects = report.objects_by_size(kind)
        of_areas = [one.per_class(area) for area in AREAS]
        for c, name in enumerate(report.matches.classes):
            for k, area in enumerate(AREAS):
                rows.append([kind, name, area, int(objects[c, k]), _defined(of_areas[k][c])])
    return ("kind", "class", "size", "objects", "AP"), rows


def precision_recall(report: DetectionReport) -> Table:
    """COCO's curve at IoU 0.5: precision at 101 recalls, whose mean is AP50, and the score at which it is had."""
    rows = []
    for kind, one in report.scores.kinds.items():
        for c, name in enumerate(report.matches.classes):
            values = zip(one.precision[0, :, c, 0].tolist(), one.scores[0, :, c, 0].tolist())
            rows += [[kind, name, r / 100, *pair] for r, pair in enumerate(values) if pair[0] >= 0]
    return ("kind", "class", "recall", "precision", "score"), rows


def f1(report: DetectionReport) -> Table:
    """Each class from each of its scores on; of more than a thousand those evenly in their order, and the best."""
    rows = []
    for name, one in zip(report.matches.classes, report.curves):
        count = len(one.scores)
        kept = np.linspace(0, count - 1, min(count, MOST_SCORES)).round().astype(int)
        kept = np.union1d(kept, [] if one.best is None else [one.best]).astype(int)
        columns = (values[kept].tolist() for values in (one.scores, one.precision, one.recall, one.f1))
        rows += [[name, *row] for row in zip(*columns)]
    return ("class", "score", "precision", "recall", "F1"), rows


def confusion(report: DetectionReport) -> Table:
    names = [*report.matches.classes, BACKGROUND]
    return ("true \\ predicted", *names), [[name, *row] for name, row in zip(names, report.confusion.tolist())]


def images(report: DetectionReport, names: Sequence[str], paths: Sequence[str]) -> Table:
    """Each image at the working score. names, paths: of the truth's images."""
    counts = report.counts
    columns = counts.objects, counts.detections, counts.correct, counts.wrong, counts.missed, counts.errors
    rows = zip(names, (one["id"] for one in report.matches.images), paths, *(one.tolist() for one in columns))
    header = ("image", "image_id", "path", "objects", "detections", "correct", "false positives", "missed", "errors")
    return header, [list(row) for row in rows]


def wrong(report: DetectionReport, names: Sequence[str]) -> Table:
    """False positives, most confident first, each with the kind of its error."""
    found = report.matches
    rows = []
    for rank, k in enumerate(report.wrong.tolist(), start=1):
        image = found.image[k]
        own = [rank, names[image], found.images[image]["id"], found.classes[found.label[k]], float(found.score[k])]
        rows.append([*own, OUTCOMES[found.outcome[k]], *found.box[k].tolist()])
    return ("rank", "image", "image_id", "class", "score", "error", "x", "y", "w", "h"), rows


def label_errors(report: DetectionReport, names: Sequence[str]) -> Table:
    """Likely errors in the labels; the box and class of the detection that says so, and of the label that is meant."""
    found, rows = report.matches, []
    for rank, one in enumerate(report.labels, start=1):
        own = [rank, one.suspicion, one.kind, names[one.image], found.images[one.image]["id"]]
        seen = labelled = [None] * 6
        if one.detection >= 0:
            k = one.detection
            seen = [found.classes[found.label[k]], float(found.score[k]), *found.box[k].tolist()]
        if one.item >= 0:
            labelled = [found.classes[found.object_label[one.item]], *found.object_box[one.item].tolist()]
        rows.append([*own, *seen, *labelled[:5]])
    box = ("x", "y", "w", "h")
    header = ["rank", "suspicion", "kind", "image", "image_id"]
    header += ["detected", "score", *(f"detected {one}" for one in box)]
    return [*header, "label", *(f"label {one}" for one in box)], rows


def thresholds(report: DetectionReport) -> list[tuple[str, float, str]]:
    """Each class with the score from which on to believe it, and where that is from."""
    rows = []
    for (name, threshold), one in zip(report.thresholds().items(), report.curves):
        if threshold is None:
            why = f"nothing right of {one.objects} objects, {one.detections} detections: the usual score"
            rows.append((name, SCORE, why))
        else:
            value = f"F1 {one.f1[one.best]:.3f}, precision {one.precision[one.best]:.3f}"
            rows.append((name, threshold, f"{value}, recall {one.recall[one.best]:.3f} of {one.objects} objects"))
    return rows


def image_names(report: DetectionReport, dataset: DetectionIndex) -> tuple[list[int], list[str], list[str]]:
    """Of each image of the truth its index in the data set, the name of its file, and its path."""
    places = {one: k for k, one in enumerate(dataset.image_ids)}
    indices = [places[one["id"]] for one in report.matches.images]
    paths = [dataset.record(k).path for k in indices]
    return indices, [path.name for path in paths], list(map(str, paths))


def match_arrays(report: DetectionReport, kind: str) -> dict[str, np.ndarray]:
    """What became of each detection and object in COCO's evaluation of a kind, see docs/reports.md: enough for mAP of
    any choice of images. Thresholds are bits, the lowest 0.50.
    """
    table = report.scores.kinds[kind].table
    bits = 1 << np.arange(table.matched.shape[2])
    return {
        "image": table.image,
        "label": table.label.astype(np.int16),
        "score": table.score,
        "rank": table.rank.astype(np.int16),
        "matched": (table.matched * bits).sum(axis=2).astype(np.uint16),
        "ignored": (table.ignored * bits).sum(axis=2).astype(np.uint16),
        "object_image": table.object_image,
        "object_label": table.object_label.astype(np.int16),
        "object_ignored": table.object_ignored,
    }


def kind_facts(report: DetectionReport, kind: str) -> dict:
    """A kind's numbers for report.json."""
    one = report.scores.kinds[kind]
    per_class = {area: [_defined(value) for value in one.per_class(area)] for area in AREAS}
    of_iou = {f"AP{iou * 100:.0f}": [_defined(value) for value in one.per_class(iou=iou)] for iou in (0.5, 0.75)}
    objects = report.objects_by_size(kind).T.tolist()
    return {
        "title": KINDS[kind][1],
        "statistics": {name: _defined(value) for name, value in one.statistics.items()},
        "objects": dict(zip(AREAS, objects)),
        "AP": per_class,
        **of_iou,
    }


def _defined(value: float) -> float | None:
    """pycocotools' -1 of what no object defines is nothing."""
    return None if value < 0 else float(value)
