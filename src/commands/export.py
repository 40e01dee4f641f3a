"""What export.py does: a checkpoint becomes a file that other programs run, checked before it gets its name."""

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mindspore import nn

from ..config import Config
from ..errors import UserError
from ..export.metadata import describe
from ..export.mindir import write_air, write_mindir
from ..export.parity import Inputs, assert_parity, batches_of
from ..files import temporary_folder
from ..inference.backends import INSTALL, encode_metadata, open_model
from ..outputs import names_folder
from ..process import runtime
from ..process.logs import start_logging
from ..tasks import TASKS
from .places import check_exported
from .quantize import is_scored, quantize, require_calibration, score_both

logger = logging.getLogger(__name__)

FORMAT_SUFFIXES = {"MINDIR": ".mindir", "ONNX": ".onnx", "AIR": ".air"}


def export(cfg: Config) -> Path:
    """Write `cfg.checkpoint_path` as `cfg.file_name` in `cfg.file_format`, batch normalisation folded; its path.

    The file is written under another name, run beside the network on several images, and renamed only if both agree, so
    that a failed export overwrites nothing. AIR cannot be run here and is not compared. UserError for wrong input.
    """
    start_logging()
    target = _target(cfg)
    _require_packages(cfg)
    if cfg.quantize == "int8":
        require_calibration(cfg)
    runtime.start(cfg, may_be_single=True)
    task = TASKS[cfg.task]
    cfg = task.as_trained(cfg)
    model = task.load_network(cfg, cfg.checkpoint_path)
    image_size = task.input_size(cfg)
    metadata, cases = describe(cfg, image_size) | task.describe(cfg), task.example_inputs(cfg)
    cases = batches_of(cases, cfg.export_batch)
    is_int8, scored = cfg.quantize == "int8", cfg.quantize == "int8" and is_scored(cfg, task)
    logger.info("%s: the network is written, then run beside the file", cfg.file_format)
    with _beside(target) as folder:
        written = folder / target.name
        _write(cfg.file_format, model, next(iter(cases.values())), metadata, written)
        if cfg.file_format == "AIR":
            logger.info("an AIR file runs on Ascend's own runtime only: it is not compared with the network")
        else:
            assert_parity(model, open_model(written, cfg.file_format.lower()), cases)
        floating = written
        if is_int8:
            written = folder / "int8" / target.name
            written.parent.mkdir()
            quantize(cfg, task, model, floating, written, next(iter(cases.values())))
        size = written.stat().st_size / 2**20
        os.replace(written, target)
        logger.info("%s written to %s (%.1f MB)", cfg.file_format, target, size)
        if scored:
            score_both(cfg, task, floating, target)
    return target


def _write(file_format: str, model: nn.Cell, inputs: Inputs, metadata: dict, path: Path) -> None:
    if file_format == "MINDIR":
        write_mindir(model, inputs, metadata, path)
    elif file_format == "AIR":
        write_air(model, inputs, path)
    else:
        from ..export.dense_onnx import write_onnx
        from ..export.onnx_writers import network_to_onnx

        write_onnx(network_to_onnx(model, inputs), encode_metadata(metadata), path)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder to write the file in before it gets its name. UserError where the disk is full, or the like."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target) as folder:
            yield folder
    except OSError as error:
        raise UserError(f"file_name {target}: cannot be written ({error.strerror or error})") from None


def _target(cfg: Config) -> Path:
    """The file to write, with its format's suffix."""
    if names_folder(cfg.file_name):
        raise UserError(f"file_name {cfg.file_name} is a folder; give the name of a file in it")
    path, suffix = Path(cfg.file_name), FORMAT_SUFFIXES[cfg.file_format]
    if path.suffix.lower() in FORMAT_SUFFIXES.values() and path.suffix.lower() != suffix:
        raise UserError(f"file_name {path} ends in {path.suffix}, but file_format is {cfg.file_format}")
    path = path if path.suffix.lower() == suffix else path.with_name(path.name + suffix)
    check_exported(cfg, path)
    return path


def _require_packages(cfg: Config) -> None:
    """Say at once what is missing, not after minutes of compilation."""
    if cfg.file_format == "AIR" and cfg.device_target != "Ascend":
        raise UserError(f"file_format AIR needs an Ascend device; device_target is {cfg.device_target}")
    if cfg.file_format == "ONNX":
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise UserError(f"file_format ONNX needs the package {package}: {INSTALL}")
