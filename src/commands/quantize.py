"""What export.py does with `quantize int8`: calibration images, the quantised file, its score beside the float's."""

import dataclasses
import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mindspore import nn

from ..config import Config
from ..config.train_sets import texts
from ..errors import UserError, counted
from ..export.parity import Inputs
from ..inference.backends import ExportedModel, decode_metadata, encode_metadata, open_model, run_model
from ..inference.inputs import find_inputs
from ..inference.output import report_unreadable
from ..models.precision import prediction_layers
from ..reading import is_there
from ..tasks.task import Task

logger = logging.getLogger(__name__)

LEAST_SHARE = 0.9  # of the multiply-accumulates in int8, below which it is said


def require_calibration(cfg: Config) -> None:
    """UserError where `quantize int8` cannot be done by what the configuration says; said before a network is built."""
    if cfg.file_format != "ONNX":
        raise UserError(f"quantize {cfg.quantize} is for file_format ONNX; it is {cfg.file_format}")
    if not any(texts(cfg.calibration_data)):
        raise UserError(f"calibration_data is empty: quantize {cfg.quantize} measures the ranges of features on images")
    calibration_images(cfg)


def calibration_images(cfg: Config) -> list[Path]:
    """`calibration_images` of the images that `calibration_data` names, evenly spread over them.

    UserError where it names none.
    """
    place = cfg.calibration_data
    try:
        given = find_inputs(dataclasses.replace(cfg, pred_input=place, recursive=True))
    except UserError as error:
        text = str(error).removeprefix("pred_input").removeprefix(":").strip()
        raise UserError(f"calibration_data: {text}") from None
    if not given.images:
        raise UserError(f"calibration_data {given.video} is a video; it takes images, folders and lists of them")
    count = min(cfg.calibration_images, len(given.images))
    return [given.images[k * len(given.images) // count] for k in range(count)]


def is_scored(cfg: Config, task: Task) -> bool:
    """Whether there are validation data to score on; they are opened. UserError for typed ones that are not there."""
    places = [place for key in ("val_dataset", "val_annotations") for place in texts(getattr(cfg, key)) if place]
    if not places or not cfg.typed.intersection(("val_dataset", "val_annotations")) and not any(map(is_there, places)):
        logger.info("no validation data (--val_dataset): the int8 file is not scored beside the float one")
        return False
    task.open(cfg, "val")
    return True


def quantize(cfg: Config, task: Task, network: nn.Cell, floating: Path, target: Path, case: Inputs) -> None:
    """Write the ONNX file `floating`, which export.py has made of `network`, as `target` in int8, and tell its share.

    case: inputs that the file is counted and tried with. UserError where no image can be read, a detector finds nothing
    on all of them, or the file gives no finite numbers.
    """
    import onnx

    from ..export.dense_onnx import write_onnx
    from ..export.quantize import int8_share, products_of, quantize_onnx

    paths = calibration_images(cfg)
    logger.info("quantize int8: calibrating on %s of calibration_data", counted(len(paths), "image"))
    seen = Seen(open_model(floating, "onnx"))
    feeds = _feeds(for_file(cfg, floating), task, seen, paths)
    quantize_onnx(floating, target, feeds, prediction_layers(network))
    report_unreadable(seen.unreadable, "calibration_data", len(paths))
    model = onnx.load(target)
    share = int8_share(products_of(model, case))
    logger.info("int8: %.1f %% of the multiply-accumulates", 100 * share)
    if share < LEAST_SHARE:
        logger.warning("that is less than %.0f %%: the file may be no faster than the float one", 100 * LEAST_SHARE)
    facts = {"type": "int8", "calibration_images": seen.images, "share": round(share, 4)}
    texts_of = {entry.key: entry.value for entry in onnx.load(floating, load_external_data=False).metadata_props}
    write_onnx(model, encode_metadata(decode_metadata(texts_of) | {"quantized": facts}), target)
    for output in run_model(open_model(target, "onnx"), *case.values()):
        if not np.isfinite(output).all():
            raise UserError("quantize int8: the file gives numbers that are not finite; it is removed")


def score_both(cfg: Config, task: Task, floating: Path, target: Path) -> dict[str, tuple[float, float]]:
    """The task's scores on the validation data by the float file and by the int8 one; printed in a line each."""
    found = [task.evaluate(for_file(cfg, path)) for path in (floating, target)]
    names = [name for name in (task.metric, *task.reported) if all(name in one for one in found)]
    scores = {name: (float(found[0][name]), float(found[1][name])) for name in dict.fromkeys(names)}
    for name, (ours, theirs) in scores.items():
        print(f"{name}: float {ours:.4f}, int8 {theirs:.4f} ({theirs - ours:+.4f})", flush=True)
    return scores


def for_file(cfg: Config, path: Path) -> Config:
    """The configuration to run an ONNX file of this export with."""
    other = {"backend": "onnx", "checkpoint_path": str(path), "prediction_path": "", "report_dir": "",
             "format_only": False, "test_batch_size": cfg.export_batch}  # fmt: skip
    return dataclasses.replace(cfg, **other)


class Seen(ExportedModel):
    """A model that keeps what it is called with; of a detector's images only those on which something is found.

    A mask head has no features to measure on the others. A detector's file has heads of its own for each place in the
    batch, so that each image stands in each: their ranges are the same. images: how many there were; unreadable:
    those that are none.
    """

    def __init__(self, model: ExportedModel):
        super().__init__(model.path, model.inputs, model.metadata)
        self.model, self.is_detections, self.images = model, model.is_detections, 0
        self.unreadable: list[str | Path] = []
        self.waiting: deque[Inputs] = deque()

    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        outputs = self.model(*arrays)
        if not self.is_detections or len(outputs[0]):
            for shift in range(len(arrays[0]) if self.is_detections else 1):
                turned = (np.roll(array, shift, axis=0) for array in arrays)
                self.waiting.append({port.name: array for port, array in zip(self.inputs, turned)})
        return outputs


def _feeds(cfg: Config, task: Task, seen: Seen, paths: list[Path]) -> Iterator[Inputs]:
    """What the network gets for each of the images, by the very code that evaluates and infers."""
    is_any = False
    try:
        for path, found in task.predict(cfg, seen, paths):
            seen.images += found is not None
            seen.unreadable += [path] if found is None else []
            while seen.waiting:
                is_any = True
                yield seen.waiting.popleft()
    except UserError as error:
        raise UserError(f"calibration_data: {str(error).replace(str(seen.path), 'the file')}") from None
    if not seen.images:
        raise UserError(f"calibration_data: none of its images can be read ({paths[0]}, {len(paths)} in all)")
    if not is_any:
        raise UserError("calibration_data: the network detects nothing on these images; name some with objects")
