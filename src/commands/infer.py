"""What infer.py does: one image or a folder of images through a checkpoint, the predictions written as JSON."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..config import Config
from ..data.formats import detection_source, open_detection
from ..errors import UserError
from ..files import write_text
from ..inference.classify import classify_files
from ..inference.predictor import Predictor, find_images
from ..inference.results import ImagePrediction, to_json
from ..inference.segment_files import segment_files
from ..process import runtime
from ..process.logs import start_logging
from .evaluate import load_backend

logger = logging.getLogger(__name__)


def infer(cfg: Config) -> None:
    """Write `cfg.pred_output` for `cfg.pred_input`; unreadable images are named. UserError for wrong input.

    pred_output is a JSON file; for segmentation it is a folder of pictures.
    """
    start_logging()
    paths = find_images(cfg.pred_input)
    output = Path(cfg.pred_output)
    if cfg.task == "segmentation" and output.is_file():
        raise UserError(f"pred_output {output} is a file; give the name of a folder for the pictures")
    if cfg.task != "segmentation" and output.is_dir():
        raise UserError(f"pred_output {output} is a folder; give the name of a JSON file")
    runtime.start(cfg, may_run_alone=True)
    model = load_backend(cfg)
    if cfg.task == "segmentation":
        _write_pictures(cfg, model, paths, output)
    else:
        _write_json(cfg, model, paths, output)


def _write_json(cfg: Config, model, paths: list[Path], output: Path) -> None:
    entries = _classified(cfg, model, paths) if cfg.task == "classification" else _detected(cfg, model, paths)
    content, unreadable = {}, []
    for path, entry in entries:
        if entry is None:
            unreadable.append(path)
        else:
            content[str(path)] = entry
    _report_unreadable(cfg, unreadable, len(paths))
    write_text(output, json.dumps(content, indent=1))
    count = sum(len(entry["predictions"]) for entry in content.values())
    logger.info("%d predictions on %d images written to %s", count, len(content), output)


def _write_pictures(cfg: Config, model, paths: list[Path], output: Path) -> None:
    written, unreadable = segment_files(cfg, model, paths, output)
    _report_unreadable(cfg, unreadable, len(paths))
    for path, pictures in written.items():
        logger.info("%s: %s", path, ", ".join(picture.name for picture in pictures))
    logger.info("%d images written to %s", len(written), output)


def _report_unreadable(cfg: Config, unreadable: list[str | Path], count: int) -> None:
    if unreadable:
        logger.warning("%d images cannot be read: %s", len(unreadable), ", ".join(map(str, unreadable[:5])))
    if len(unreadable) == count:
        raise UserError(f"{cfg.pred_input}: none of its {count} images can be read")


def _detected(cfg: Config, model, paths: list[Path]) -> Iterator[tuple[str | Path, dict | None]]:
    category_ids = known_category_ids(cfg)
    for path, prediction in Predictor(model, cfg).predict_files(paths):
        if prediction is None:
            yield path, None
        else:
            yield path, to_json(_above(prediction, cfg.infer_score_thr), cfg.coco_classes[1:], category_ids)


def _classified(cfg: Config, model, paths: list[Path]) -> Iterator[tuple[Path, dict | None]]:
    for path, predictions in classify_files(cfg, model, paths):
        yield path, None if predictions is None else {"predictions": predictions}


def known_category_ids(cfg: Config) -> list[int] | None:
    """The data set's own id of each class where the validation data are there to tell, otherwise None."""
    if not detection_source(cfg, "val") or not Path(detection_source(cfg, "val")).is_dir():
        return None
    try:
        return open_detection(cfg, "val").category_ids
    except UserError as error:
        logger.warning("category ids stay unknown: %s", error)
        return None


def _above(prediction: ImagePrediction, threshold: float) -> ImagePrediction:
    keep = np.flatnonzero(prediction.scores >= threshold)
    masks = [prediction.masks[i] for i in keep]
    return ImagePrediction(
        prediction.height,
        prediction.width,
        prediction.boxes[keep],
        prediction.labels[keep],
        prediction.scores[keep],
        masks,
    )
