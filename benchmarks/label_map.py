"""Segmentation after the network, one Cityscapes image: logits to label map to counts, against PyTorch and numpy.

    python benchmarks/label_map.py

Prints milliseconds an image (19 classes, 256x512 logits, 1024x2048 label) and the ratios to ours, in the same run.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.evaluation.segmentation_eval import confusion_matrix  # noqa: E402
from src.inference.segment import Piece, Scores  # noqa: E402

CLASSES, SIZE = 19, (1024, 2048)


def figures() -> Iterator[Figure]:
    rng = np.random.RandomState(0)
    logits = rng.randn(CLASSES, SIZE[0] // 4, SIZE[1] // 4).astype(np.float32)
    label = rng.randint(0, CLASSES, SIZE).astype(np.uint8)
    scores = Scores([(SIZE, [Piece((0, 0), SIZE, logits)])])

    def ours() -> np.ndarray:
        return confusion_matrix(label, scores.label_map(SIZE), CLASSES, 255)

    def reference() -> np.ndarray:
        enlarged = torch.nn.functional.interpolate(torch.tensor(logits)[None], size=SIZE, mode="bilinear")
        predicted = enlarged.argmax(1)[0].numpy()
        counted = label != 255
        index = label[counted].astype(np.int64) * CLASSES + predicted[counted]
        return np.bincount(index, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    assert np.abs(ours() - reference()).sum() < 1e-4 * label.size  # ties and rounding
    what = f"logits to label map to counts, {CLASSES} classes, {SIZE[1]}x{SIZE[0]}"
    yield Figure(what, median_ms(ours), median_ms(reference), "ms", f"{versioned('torch', 'PyTorch')} and numpy")


if __name__ == "__main__":
    run(figures, __doc__)
