"""A detector's classes and the numbers that data sets give them, where the configuration leaves that to the data."""

import logging
from dataclasses import replace
from pathlib import Path

from ..config import Config, has_open_classes
from ..data.formats import detection_source, open_detection
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..errors import UserError
from .meaning import stated_facts

logger = logging.getLogger(__name__)


def with_classes(cfg: Config, dataset: DetectionIndex) -> Config:
    """The configuration with the data set's classes, where it names none; they are said."""
    if not has_open_classes(cfg):
        return cfg
    logger.info("classes of %s: %s", dataset.annotation_file, ", ".join(dataset.classes))
    if not dataset.classes:
        raise UserError(f"{dataset.annotation_file} has no category to take as a class")
    return replace(cfg, coco_classes=["background", *dataset.classes], num_classes=len(dataset.classes) + 1)


def known_category_ids(cfg: Config) -> list[Id] | None:
    """The data set's own id of each class: the validation data's where they are there, otherwise those of the training
    data where the checkpoint or exported file tells them, otherwise None.
    """
    if detection_source(cfg, "val") and Path(detection_source(cfg, "val")).exists():
        try:
            return open_detection(cfg, "val").category_ids
        except UserError as error:
            logger.warning("the validation data do not tell the category ids: %s", error)
    facts = stated_facts(cfg) if cfg.checkpoint_path else {}
    return facts.get("category_ids") if facts.get("class_names") == list(cfg.coco_classes[1:]) else None
