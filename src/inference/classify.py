"""infer.py for classifiers: the five likeliest classes of every image as JSON."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..config import Config
from ..data.formats.classified import read_classes
from ..data.imagenet import Preparation, evaluation_batches
from ..data.images import log_if_too_large
from ..data.pictures import ImageSource
from .backends import run_model
from .probabilities import probabilities

UNKNOWN = "unknown"
TOP = 5  # classes of an image that are told, and that top-5 accuracy looks at


def classify_files(
    cfg: Config, model, images: Iterable[ImageSource]
) -> Iterator[tuple[ImageSource, list[dict] | None]]:
    """(file or picture in memory, predictions best first) of every image; None where it cannot be read.

    A prediction has `label` (0-based), `name` ('unknown' where neither configuration nor data tell) and `score`.
    """
    names = known_class_names(cfg)
    items = ((Path(image) if isinstance(image, str) else image, 0) for image in images)
    batches = evaluation_batches(items, Preparation.from_config(cfg), cfg.test_batch_size, cfg.num_parallel_workers)
    for image, group, readable in batches:
        scores = probabilities(run_model(model, image)[0])
        for row, (source, _), is_readable in zip(scores, group, readable):
            if not is_readable:
                log_if_too_large(source, cfg.max_image_pixels)
            yield source, _best(row, names) if is_readable else None


def known_class_names(cfg: Config) -> list[str]:
    """`cfg.class_names`, else the folder names of the validation or training data where they are there, else []."""
    if cfg.class_names:
        return cfg.class_names
    for source in (cfg.val_dataset, cfg.train_dataset):
        names = read_classes(source)
        if len(names) == cfg.num_classes:
            return names
    return []


def _best(scores: np.ndarray, names: list[str]) -> list[dict]:
    order = np.argsort(-scores, kind="stable")[:TOP]
    return [{"label": int(k), "name": names[k] if names else UNKNOWN, "score": float(scores[k])} for k in order]
