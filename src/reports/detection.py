"""A detector's report: `index.html`, tables as CSV, `thresholds.yaml`, and the matches that comparisons start from."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..config.thresholds import thresholds_text
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..errors import plain
from ..evaluation.detection_analysis import ERRORS
from ..evaluation.detection_images import worst_images
from ..evaluation.detection_matches import OUTCOMES
from ..evaluation.detection_report import IOU, SCORE, DetectionReport
from ..files import write_bytes, write_text
from ..inference.detection_pictures import DetectionPictures
from ..inference.diagram_names import drawn_names, font_families
from ..pages import plots
from ..pages.page import Link, Page
from . import detection_tables as tables
from .parts import begin, left_out

FILES = (
    "metrics.csv", "classes.csv", "sizes.csv", "class_sizes.csv", "precision_recall.csv", "f1.csv", "confusion.csv",
    "errors.csv", "images.csv", "false_positives.csv", "label_errors.csv", "thresholds.yaml", "matches_bbox.npz",
    "matches_segm.npz",
)  # fmt: skip
WORST, CONFIDENT, LABELS = 20, 20, 40  # shown with pictures
MOST_NAMED = 100  # images in a line
MOST_CURVES, A_DIAGRAM = 100, 10  # classes that have curves, and of one diagram
ERROR_WORDS = {
    "duplicate": f"overlaps an object of its class (IoU >= {IOU}) that a better detection has taken",
    "localisation": f"its best IoU with an object of its class is between 0.1 and {IOU}",
    "confusion": f"overlaps an object of another class (IoU >= {IOU})",
    "background": "everything else that is on no object",
    "missed": "an object that no detection takes, and at which no localisation or confusion error points",
}
LABEL_WORDS = {
    "missing": "something is seen where no label is",
    "class": "another class is seen than the label says",
    "moved": "something is seen beside the label",
    "unfound": "nothing is seen where the label is",
}


def write_detection_report(
    folder: Path,
    cfg: Config,
    dataset: DetectionIndex,
    report: DetectionReport,
    results: Sequence[dict],
    left: Sequence[str] = (),
) -> dict[str, Any]:
    """Write all files into `folder`; the facts for `report.json`.

    results: COCO results, as they were scored; left: what was unreadable or took no part, a line each.
    """
    writer = _Writer(folder, cfg, dataset, report, results)
    writer.scores()
    writer.curves()
    writer.thresholds()
    writer.confusion()
    writer.errors()
    writer.worst_images()
    writer.confident_errors()
    writer.label_errors()
    left_out(writer.page, [*left, *writer.pictures.unreadable.values()])
    writer.page.write()
    writer.matches()
    return facts(report) | {"pictures": writer.shown}


def left_lines(report: DetectionReport, dataset: DetectionIndex, unreadable: Sequence[Id]) -> list[str]:
    """What was not read or took no part, a line each. unreadable: ids of images."""
    names = {one: dataset.record(k).path.name for k, one in enumerate(dataset.image_ids)}
    known = {one["id"] for one in report.matches.images}
    lines = [
        f"{len(ids)} images {what} ({', '.join(plain(names.get(one, str(one)), 100) for one in ids[:MOST_NAMED])}"
        f"{', ...' if len(ids) > MOST_NAMED else ''})"
        for ids, what in (
            (list(unreadable), "could not be read when the predictions were made: nothing is found in them"),
            ([one for one in names if one not in known], "have another size than their labels say: left out"),
        )
        if ids
    ]
    return [*lines, *dataset.report.lines()]


def facts(report: DetectionReport) -> dict[str, Any]:
    """What `report.json` says: as much as a comparison asks."""
    counts = [report.analysis.errors[name] for name in ERRORS]
    return {
        "task": "detection",
        "metrics": {name: None if value < 0 else value for name, value in report.scores.metrics.items()},
        "protocol": report.scores.protocol,
        "classes": list(report.matches.classes),
        "images": len(report.matches.images),
        "objects": report.scores.objects,
        "iou_threshold": IOU,
        "score_threshold": SCORE,
        "kinds": {kind: tables.kind_facts(report, kind) for kind in report.scores.kinds},
        "thresholds": report.thresholds(),
        "errors": dict(zip(ERRORS, counts)),
        "label_errors": len(report.labels),
    }


class _Writer:
    """The sections of the page, each with its files."""

    def __init__(
        self, folder: Path, cfg: Config, dataset: DetectionIndex, report: DetectionReport, results: Sequence[dict]
    ):
        self.report, self.results = report, results
        self.names, self.families = drawn_names(report.matches.classes, cfg.font)
        self.indices, self.files, self.paths = tables.image_names(report, dataset)
        self.pictures = DetectionPictures(cfg, dataset)
        self.shown: dict[str, int] = {}  # file of a picture: the image, as its row of images.csv
        metrics, protocol = report.scores.metrics, report.scores.protocol
        self.page: Page = begin(folder, "Detection report", metrics, protocol, tables.scores(report))

    def scores(self) -> None:
        page, report = self.page, self.report
        page.heading("Classes")
        header, rows = tables.classes(report)
        here = header.index("threshold")  # the rest is shown below
        page.csv("classes.csv", header, rows)
        page.table(header[:here], [row[:here] for row in rows])
        page.line(
            f"detections, correct, precision, recall, F1: of boxes with a score from {SCORE} on, at IoU {IOU}.",
            is_note=True,
        )
        self._link("classes.csv")
        page.heading("Object sizes")
        page.table(*tables.sizes(report), "sizes.csv")
        page.csv("class_sizes.csv", *tables.class_sizes(report))
        page.line("small: below 32 x 32 pixels, large: above 96 x 96. Each class by size:", is_note=True)
        self._link("class_sizes.csv")

    def curves(self) -> None:
        page, report = self.page, self.report
        page.heading("Curves")
        page.csv("precision_recall.csv", *tables.precision_recall(report))
        page.csv("f1.csv", *tables.f1(report))
        shown = [k for k in np.argsort(-np.array(report.scores.objects), kind="stable") if report.scores.objects[k]]
        recalls = np.linspace(0, 1, 101)
        for kind, one in report.scores.kinds.items():
            lines = {k: (recalls, one.precision[0, :, k, 0]) for k in shown}
            self._diagrams(f"precision_recall_{kind}", lines, "recall", "precision", f"{kind}: precision at IoU 0.5")
        lines = {k: (report.curves[k].scores, report.curves[k].f1) for k in shown}
        self._diagrams("f1", lines, "least score", "F1", "F1 of the boxes from a score on, at IoU 0.5")
        if len(shown) > MOST_CURVES:
            page.line(f"The {MOST_CURVES} classes with most objects are shown.", is_note=True)
        self._link("precision_recall.csv", "f1.csv")

    def _diagrams(self, name: str, lines: Mapping[int, tuple], x: str, y: str, caption: str) -> None:
        chosen = list(lines)[:MOST_CURVES]
        with font_families(self.families):
            for start in range(0, len(chosen), A_DIAGRAM):
                part = {self._name(k): lines[k] for k in chosen[start : start + A_DIAGRAM]}
                self.page.picture(f"{name}_{start // A_DIAGRAM + 1}", plots.curves(part, x, y), caption)

    def _name(self, label: int) -> str:
        """In a diagram, where each line has a name of its own."""
        name = self.names[label]
        return f"{name} ({label + 1})" if self.names.count(name) > 1 else name

    def thresholds(self) -> None:
        page = self.page
        origin = f"Least score of each class: where F1 is largest at IoU {IOU}, by `eval.py --report_dir`, on\n"
        origin += ", ".join(f"{name} {plain(value)}" for name, value in self.report.scores.protocol.items())
        write_text(page.folder / "thresholds.yaml", thresholds_text(origin, tables.thresholds(self.report)))
        page.heading("Thresholds")
        header, rows = tables.classes(self.report)
        first = header.index("threshold")
        page.table(["class", *header[first:]], [[row[0], *row[first:]] for row in rows])
        page.line(
            f"threshold: the score from which on F1 is largest, of boxes at IoU {IOU}; the highest of equal ones. "
            f"Where nothing is right there is none here (-), and {SCORE} in the file. best ...: from there on. "
            "`infer.py --infer_score_thr thresholds.yaml` takes them.",
            is_note=True,
        )
        self._link("thresholds.yaml")

    def confusion(self) -> None:
        page, report = self.page, self.report
        page.heading("Confusion matrix")
        names = [self._name(k) for k in range(len(self.names))] + [tables.BACKGROUND]
        with font_families(self.families):
            page.picture("confusion", plots.confusion(report.confusion, names, names))
        page.csv("confusion.csv", *tables.confusion(report))
        self._link("confusion.csv")
        page.line(
            f"As MMDetection counts, boxes with a score from {SCORE} on: a detection once for every object that it "
            f"overlaps (IoU >= {IOU}), otherwise once for background; an object that no detection of its class "
            "overlaps is taken for background. Crowd regions are no objects here, and a detection inside one of its "
            "class is not counted.",
            is_note=True,
        )

    def errors(self) -> None:
        page, errors = self.page, self.report.analysis.errors
        page.heading("Kinds of errors")
        rows = [[name, errors[name], ERROR_WORDS[name]] for name in ERRORS]
        page.table(("error", "count", "what it is"), rows, "errors.csv")
        page.line(f"Of boxes with a score from {SCORE} on, after TIDE, simplified.", is_note=True)

    def worst_images(self) -> None:
        page, counts = self.page, self.report.counts
        page.csv("images.csv", *tables.images(self.report, self.files, self.paths))
        page.heading("Worst images")
        worst = worst_images(counts, self.files, WORST)
        page.line(
            f"Those with most errors, false positives and missed objects, at score {SCORE} and IoU {IOU}."
            if worst else "No image has an error."
        )  # fmt: skip
        for rank, image in enumerate(worst, start=1):
            found = self._results_of(image)
            caption = f"{rank}. {self.files[image]}: {counts.wrong[image]} false positives, "
            caption += f"{counts.missed[image]} of {counts.objects[image]} objects missed"
            self._picture(f"worst_{rank:02d}", image, found, (), caption)
        self._link("images.csv")

    def _results_of(self, image: int) -> list[dict]:
        """The detections of an image that reach the working score."""
        found = self.report.matches
        own = np.flatnonzero((found.image == image) & (found.score >= SCORE))
        return [self.results[found.result[k]] for k in own]

    def confident_errors(self) -> None:
        page, found = self.page, self.report.matches
        page.heading("Most confident false positives")
        page.csv("false_positives.csv", *tables.wrong(self.report, self.files))
        page.line(f"{len(self.report.wrong)} detections from score {SCORE} on are on no object of their class.")
        for rank, k in enumerate(self.report.wrong[:CONFIDENT].tolist(), start=1):
            image = int(found.image[k])
            caption = f"{rank}. {found.classes[found.label[k]]} {found.score[k]:.3f}, {OUTCOMES[found.outcome[k]]}: "
            around = (found.box[k],) + ((found.object_box[found.target[k]],) if found.target[k] >= 0 else ())
            own = self._results_of(image)
            self._picture(f"false_positive_{rank:02d}", image, own, around, caption + self.files[image])
        self._link("false_positives.csv")

    def label_errors(self) -> None:
        page, found = self.page, self.report.matches
        page.heading("Likely label errors")
        page.csv("label_errors.csv", *tables.label_errors(self.report, self.files))
        page.line(
            f"{len(self.report.labels)} places where the detector and a label do not agree, the likeliest errors of "
            "the labels first; the number is from 0 to 1. White frames are about what is seen and the label that is "
            "meant. A weak detector errs more often than its labels do."
        )
        page.table(("kind", "what it says"), [[name, LABEL_WORDS[name]] for name in LABEL_WORDS])
        for rank, one in enumerate(self.report.labels[:LABELS], start=1):
            around, words = [], []
            own = self._results_of(one.image)
            if one.detection >= 0:
                k = one.detection
                around.append(found.box[k])
                own = own if found.score[k] >= SCORE else [*own, self.results[found.result[k]]]
                words.append(f"seen {found.classes[found.label[k]]} {found.score[k]:.3f}")
            if one.item >= 0:
                around.append(found.object_box[one.item])
                words.append(f"label {found.classes[found.object_label[one.item]]}")
            caption = f"{rank}. {one.suspicion:.3f} {one.kind}, {', '.join(words)}: {self.files[one.image]}"
            self._picture(f"label_{rank:02d}", one.image, own, around, caption)
        self._link("label_errors.csv")

    def matches(self) -> None:
        for kind in self.report.scores.kinds:
            content = io.BytesIO()
            np.savez_compressed(content, **tables.match_arrays(self.report, kind))
            write_bytes(self.page.folder / f"matches_{kind}.npz", content.getvalue())

    def _picture(self, name: str, image: int, found: Sequence[dict], around: Sequence, caption: str) -> None:
        """A place whose image cannot be read has its words alone."""
        picture = self.pictures.draw(self.indices[image], found, around)
        if picture is None:
            self.page.line(f"{caption} (the image cannot be read)")
        else:
            self.shown[self.page.picture(name, picture, caption)] = image

    def _link(self, *files: str) -> None:
        self.page.links([Link(file, file) for file in files])
