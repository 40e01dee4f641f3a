"""What a command reads and what it writes, held against one another before anything else is done."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..config.train_sets import texts
from ..data.video import Source
from ..errors import UserError
from ..files import sweep
from ..inference.draw_inferred import draw_targets
from ..inference.fonts import FontBook
from ..inference.label_files import label_file_names
from ..inference.prediction_file import PROTOCOL_ENDING
from ..inference.segment_files import KINDS, picture_paths, tree_of
from ..inference.unfinished import ENDING, part_path
from ..inference.video_predictions import DRAWN, Outputs
from ..outputs import Inputs, check_output_file, check_output_files
from ..tasks import evaluating

READ = (
    "checkpoint_path", "pre_trained", "pt_path", "verify", "train_dataset", "val_dataset", "mindrecord_dir",
    "train_annotations", "train_images", "val_annotations", "val_images", "pred_input",
    "calibration_data",
)  # fmt: skip
NAMING = (".lst", ".csv", ".tsv", ".yaml", ".yml")
LOOKED_AT = 2**16  # characters of a file from which its kind is told
# What infer.py writes begins with the first image's name and a key of its entry.
OF_INFER = re.compile(r'\{\}\Z|\{\n "(?:[^"\\]|\\.)*": \{\n  "(?:height|predictions)":')


def inputs_of(cfg: Config) -> Inputs:
    """Every file and folder that the configuration names as something to be read, and its own files."""
    files = [("the configuration", Path(path)) for path in cfg.origin]
    folders = []
    named = [(name, text) for name in READ for text in texts(getattr(cfg, name))]
    for name, text in (*named, ("backbone.pretrained", cfg.backbone.pretrained)):
        path = Path(text)
        if text and os.path.isdir(path):
            folders.append((name, path))
            if not os.path.exists(path / "labels.json") and os.path.isdir(path.parent / "annotations"):
                folders.append((name, path.parent / "annotations"))  # COCO's own layout has the label files there
        elif text:
            files.append((name, path))
            if path.suffix in NAMING and name != "pred_input":  # the folder of the files that it names
                folders.append((name, path.parent))
    return Inputs(tuple(files), tuple(folders))


def check_predictions(cfg: Config, images: Sequence[Path] = ()) -> None:
    """UserError unless `pred_output` can be written as a JSON file, and is none of these images."""
    is_folder = isinstance(cfg.pred_input, str) and os.path.isdir(cfg.pred_input)
    inputs = inputs_of(cfg) if is_folder else _with_images(cfg, images)
    check_output_file("pred_output", cfg.pred_output, inputs, _is_of_infer, (ENDING,))


def check_pictures(cfg: Config, images: Sequence[Path]) -> None:
    """UserError unless the pictures of segmented images can be written into the folder `pred_output`."""
    folder, inputs = Path(cfg.pred_output), inputs_of(cfg)
    pictures = [picture for pictures in picture_paths(images, folder, tree_of(cfg, images)) for picture in pictures]
    check_output_files("pred_output", folder, pictures, _with_images(cfg, images), per_set=len(KINDS))
    for parent in {parent for picture in pictures for parent in picture.parents if folder in parent.parents}:
        if os.path.lexists(parent) and not os.path.isdir(parent):
            raise UserError(f"pred_output {parent} is a file; a folder of pred_input has its name")
        sweep(parent)
    check_output_file("pred_output", part_path(folder), inputs, lambda path: True)


def check_labels(cfg: Config, images: Sequence[Path]) -> None:
    """UserError unless the label files of predictions can be written into the folder `pred_output`, all of them new.

    A run that was killed may have left some of them: that they are the same is looked at where they are written.
    """
    folder, inputs = Path(cfg.pred_output), inputs_of(cfg)
    files = [folder / name for name in label_file_names(cfg.infer_format, images, cfg.pred_input)]
    goes_on = os.path.exists(part_path(folder))
    there = [] if goes_on else [file for file in files if os.path.lexists(file)]
    if there:
        raise UserError(f"pred_output: {there[0]} is there already: labels are not replaced, give a new folder")
    check_output_files("pred_output", folder, files if not goes_on else [], inputs)
    check_output_file("pred_output", part_path(folder), inputs, lambda path: True)


def check_drawn(cfg: Config, images: Sequence[Path]) -> None:
    """UserError unless the pictures that `draw` asks for can be written into a folder that is nothing else's."""
    folder = Path(cfg.draw)
    if os.path.isfile(folder):
        raise UserError(f"draw {folder} is a file; give the name of a folder for the pictures")
    taken = [("pred_output", cfg.pred_output), *(("pred_input", name) for name in texts(cfg.pred_input))]
    for key, text in taken:
        if text and os.path.realpath(text) == os.path.realpath(folder):
            raise UserError(f"draw and {key} are both {folder}: give draw a folder of its own")
    beside = {os.path.realpath(parent): parent for parent in {image.parent for image in images}}
    if parent := beside.get(os.path.realpath(folder)):
        first = next(image for image in images if image.parent == parent)
        what = f"draw {folder} is the folder of {first}, an image of pred_input"
        raise UserError(f"{what}: give draw a folder of its own")
    check_output_files("draw", folder, draw_targets(cfg, images), _with_images(cfg, images))
    if not cfg.pred_output:
        check_output_file("draw", part_path(folder), inputs_of(cfg), lambda path: True)


def check_video(cfg: Config, source: Source) -> None:
    """UserError unless the lines and the MP4 of a video's predictions can be written."""
    outputs, inputs = Outputs.from_config(cfg, source), inputs_of(cfg)
    if outputs.lines and outputs.lines.suffix.lower() == DRAWN:
        raise UserError(f"pred_output {outputs.lines}: predictions are lines of JSON; draw names the drawn video")
    if outputs.lines:
        check_output_file("pred_output", cfg.pred_output, inputs, beside=(ENDING,))
    if outputs.drawn:
        check_output_file("draw", outputs.drawn, inputs, beside=() if outputs.lines else (ENDING,))


def _with_images(cfg: Config, images: Sequence[Path]) -> Inputs:
    """The inputs with the images of pred_input, which may lie anywhere."""
    inputs = inputs_of(cfg)
    return Inputs(inputs.files + tuple(("an image of pred_input", path) for path in images), inputs.folders)


def check_evaluation(cfg: Config) -> None:
    """UserError unless the predictions and the report that eval.py is to leave can be written, with their font."""
    if cfg.prediction_path and not os.path.exists(cfg.prediction_path):  # it is an input otherwise
        check_output_file("prediction_path", cfg.prediction_path, inputs_of(cfg), beside=(PROTOCOL_ENDING, ENDING))
    if cfg.font:
        FontBook(cfg.font)
    if cfg.report_dir:
        evaluating(cfg).check_report(cfg, inputs_of(cfg))


def check_exported(cfg: Config, target: Path) -> None:
    """UserError unless the exported file `target` can be written. Only an exported file has its suffix."""
    check_output_file("file_name", target, inputs_of(cfg), lambda path: True, read_only=True)


def check_converted(cfg: Config) -> None:
    """UserError unless `ckpt_path` can be written."""
    check_output_file("ckpt_path", cfg.ckpt_path, inputs_of(cfg))


def _is_of_infer(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return bool(OF_INFER.match(file.read(LOOKED_AT)))
    except (OSError, UnicodeDecodeError):
        return False
