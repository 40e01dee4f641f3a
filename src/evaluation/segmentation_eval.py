"""Evaluation of a segmentation network: confusion matrix over every pixel of the set, IoU, accuracies.

Counts and IoU are the HRNet authors' (`get_confusion_matrix`, `testval`): a class that neither occurs nor is predicted
has IoU 0 and counts in the mean. Such classes are named, and the mean without them is printed too.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..config import Config
from ..data.formats.segmentation_list import SegmentationDataset
from ..data.read_ahead import read_ahead
from ..inference.segment import Scores, make_segmenter
from ..process.runtime import ALONE, Runtime

WAITING = 4  # images whose scores wait to be counted
MANY_SIZES = 8  # image sizes, each of which compiles the network, from which on a hint is given


@dataclass
class SegmentationResult:
    """confusion (C, C) int64 pixels: rows are the true classes, columns the predicted ones.

    missed (C,) int64: labelled pixels of images that could not be read; they count as wrong.
    unreadable: a line for each image or label that could not be read.
    """

    confusion: np.ndarray
    missed: np.ndarray
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, num_classes: int) -> "SegmentationResult":
        return cls(np.zeros((num_classes, num_classes), np.int64), np.zeros(num_classes, np.int64))

    @property
    def labelled(self) -> np.ndarray:
        """(C,) pixels of each true class."""
        return self.confusion.sum(1) + self.missed

    @property
    def iou(self) -> np.ndarray:
        """(C,) intersection over union; 0 for a class that neither occurs nor is predicted."""
        hits = np.diag(self.confusion)
        return hits / np.maximum(1, self.labelled + self.confusion.sum(0) - hits)

    @property
    def absent(self) -> np.ndarray:
        """(C,) bool: classes that neither occur nor are predicted."""
        return (self.labelled + self.confusion.sum(0)) == 0

    @property
    def class_accuracy(self) -> np.ndarray:
        """(C,) share of each class's pixels that were right; 0 for a class without pixels."""
        return np.diag(self.confusion) / np.maximum(1, self.labelled)

    def metrics(self) -> dict[str, float]:
        """mIoU, pixel accuracy, mean class accuracy."""
        total = max(int(self.labelled.sum()), 1)
        return {
            "mIoU": float(self.iou.mean()),
            "pixel_acc": float(np.trace(self.confusion) / total),
            "mean_acc": float(self.class_accuracy.mean()),
        }


def confusion_matrix(label: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: int) -> np.ndarray:
    """(C, C) int64 pixel counts of two (h, w) maps of classes; pixels of the ignored label are left out."""
    counted = label != ignore_label
    index = label[counted].astype(np.int64) * num_classes + prediction[counted]
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def evaluate_segmenter(cfg: Config, model, dataset: SegmentationDataset, process: Runtime = ALONE) -> dict[str, float]:
    """Metrics of `model` (in evaluation mode) on every image of `dataset`, printed in the original's form.

    process: where there are several ranks, each runs the network on its share of the images; rank 0 has the metrics,
    the others get an empty dictionary.
    """
    started = time.perf_counter()
    parts = process.gather(segment_dataset(cfg, model, dataset, process.share(len(dataset))))
    if not process.is_main:
        return {}
    result = merged(parts)
    seconds = time.perf_counter() - started
    print(f"Protocol: {protocol(cfg)}")
    print(
        f"Number of samples: {len(dataset):4d}, total time: {seconds:4.2f}s, "
        f"average time: {seconds / len(dataset):4.2f}s"
    )
    print_result(result, dataset.labels.names, f"{cfg.device_target} Inference")
    return result.metrics()


def segment_dataset(
    cfg: Config, model, dataset: SegmentationDataset, indices: Sequence[int] | None = None
) -> SegmentationResult:
    """Run the network over the entries `indices` (all of them by default), at each label's own resolution."""
    labels = dataset.labels
    segmenter = make_segmenter(cfg, model, labels)
    result = SegmentationResult.empty(len(labels.names))
    sizes: set[tuple[int, ...]] = set()
    indices = range(len(dataset)) if indices is None else indices

    def read(index: int) -> tuple[int, np.ndarray | None, np.ndarray | None]:
        return index, dataset.read_image(index), dataset.read_label(index)

    def scored() -> Iterator[tuple[Scores, np.ndarray]]:
        workers = max(cfg.num_parallel_workers, 1)
        for index, image, label in read_ahead(read, indices, workers, ahead=workers):
            if image is None or label is None:
                _count_unreadable(result, dataset, index, label, cfg.ignore_label)
                continue
            sizes.add(image.shape)
            if len(sizes) == MANY_SIZES and cfg.keep_ratio and cfg.eval_mode == "whole":
                print(f"{MANY_SIZES} sizes of images: each compiles the network anew; --eval_mode slide does not")
            yield segmenter.scores(image), label

    def count(item: tuple[Scores, np.ndarray]) -> np.ndarray:
        scores, label = item
        return confusion_matrix(label, scores.label_map(label.shape), len(labels.names), cfg.ignore_label)

    for confusion in read_ahead(count, scored(), workers=1, ahead=WAITING, name="count"):
        result.confusion += confusion
    return result


def merged(parts: Sequence[SegmentationResult]) -> SegmentationResult:
    """The result over the images of all parts."""
    return SegmentationResult(
        sum(part.confusion for part in parts),
        sum(part.missed for part in parts),
        [line for part in parts for line in part.unreadable],
    )


def score_label_maps(
    cfg: Config, dataset: SegmentationDataset, maps: Iterable[tuple[int, np.ndarray | None, np.ndarray | None]]
) -> SegmentationResult:
    """Result of (index, label, predicted classes) triples that another program's outputs gave."""
    result = SegmentationResult.empty(len(dataset.labels.names))
    for index, label, predicted in maps:
        if label is None or predicted is None:
            _count_unreadable(result, dataset, index, label, cfg.ignore_label)
        else:
            result.confusion += confusion_matrix(label, predicted, len(dataset.labels.names), cfg.ignore_label)
    return result


def print_result(result: SegmentationResult, names: Sequence[str], title: str) -> None:
    """The original's block with mIoU and IoU array, then accuracies and a table of the classes."""
    for line in result.unreadable:
        print(f"unreadable: {line}")
    metrics = result.metrics()
    print(f"============= {title} =============")
    print("miou:", metrics["mIoU"])
    print("iou array: \n", result.iou)
    print("=========================================")
    print(f"pixel accuracy: {metrics['pixel_acc']:.6f}, mean class accuracy: {metrics['mean_acc']:.6f}")
    width = max(len(name) for name in names)
    share = result.labelled / max(int(result.labelled.sum()), 1)
    print(f"{'class':<{width}}     IoU  accuracy  share of pixels")
    for row in zip(names, result.iou, result.class_accuracy, share):
        print("{:<{width}}  {:.4f}    {:.4f}  {:.4f}".format(*row, width=width))
    if result.absent.any():
        absent = [name for name, is_absent in zip(names, result.absent) if is_absent]
        rest = result.iou[~result.absent]
        print(
            f"{len(absent)} classes neither occur nor are predicted and count as 0: {', '.join(absent)}; "
            f"mean IoU of the others: {rest.mean() if len(rest) else 0:.6f}"
        )
    print(f"mIoU: {metrics['mIoU']:.4f}", flush=True)


def protocol(cfg: Config) -> str:
    """Under which conditions the scores were made, in one line."""
    size = "whole images" if cfg.keep_ratio else f"stretched to {cfg.img_width}x{cfg.img_height}"
    if cfg.eval_mode == "slide":
        windows = f"windows of {cfg.img_width}x{cfg.img_height}, stride {cfg.eval_stride:g}"
        size = windows if cfg.keep_ratio else f"{size}, {windows}"
    scales = ", ".join(f"{scale:g}" for scale in cfg.eval_scales)
    return f"{cfg.dataset}, {size}, scales {scales}, flip {int(cfg.eval_flip)}, scored at the labels' own size"


def _count_unreadable(
    result: SegmentationResult, dataset: SegmentationDataset, index: int, label: np.ndarray | None, ignore_label: int
) -> None:
    """An image that cannot be read is wrong everywhere; without its label there is nothing to count."""
    outcome = "left out, since nothing tells what is right" if label is None else "counted as wrong"
    result.unreadable.append(f"{dataset.why_unreadable(index)}; {outcome}")
    if label is not None:
        counts = np.bincount(label[label != ignore_label], minlength=len(result.missed))
        result.missed += counts
