"""Weights as the originals' launchers are given them, and the key that takes them here.

    python -m src.commands.adopt --config_path C --weights FILE --purpose train|evaluate --folder DIR --answer FILE2 \
        [--key value ...]

A checkpoint of this project stays where it is. Another project's is converted into DIR, under a name that tells file
and network, and not a second time. The answer is a word a line: `--pre_trained`, the path, ...
"""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ..checkpoint import STATE_PREFIX, checkpoint_facts, checkpoint_hash, is_own, read_mindspore
from ..config import Config, parse_cli
from ..config.arguments import Arguments
from ..config.compare import score_settings
from ..config.known_checkpoints import HRNET_W48_SEG, MASK_RCNN, known_checkpoint
from ..errors import UserError
from ..files import write_text
from ..process.command import entry_point
from ..process.logs import quiet_logs, start_logging
from ..reading import is_file
from ..tasks import TASKS
from .convert import convert_file

PATHS = ("weights", "folder", "answer")
BACKBONE = "backbone."
EXPORTED = (".mindir", ".onnx")
LONGEST_STEM = 100  # characters of the file's name that its converted one keeps
KINDS = {"": "--pre_trained", "-backbone": "--backbone.pretrained", "-finetune": "--pre_trained"}  # ends of names: key


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--purpose", choices=("train", "evaluate"))
    for name in PATHS:
        parser.add_argument(f"--{name}", type=Path)
    own, rest = parser.parse_known_args(argv)
    cfg = parse_cli(__doc__, rest)
    for name in (*PATHS, "purpose"):
        if getattr(own, name) is None:
            raise UserError(f"--{name} is missing; see --help")
    quiet_logs()
    start_logging()
    is_training = own.purpose == "train"
    words = adopt(cfg, own.weights, own.folder, is_training)
    if words == _arguments(own.weights, "", is_training):
        words = []
    write_text(own.answer, "".join(f"{word}\n" for word in words))


def adopt(cfg: Config, weights: Path, folder: Path, is_training: bool) -> list[str]:
    """Arguments of train.py or eval.py that take these weights; see above. UserError where they cannot be taken."""
    if not is_file(weights):
        raise UserError(f"{weights} is no file")
    names = _names_of_mindspore(weights)
    if weights.suffix in EXPORTED or (names and _is_ours(names)):
        return _arguments(weights, _kind_of_ours(cfg, weights, names), is_training)
    kind, path = _converted(cfg, weights, names, folder, is_training)
    return _arguments(path, kind, is_training)


def _names_of_mindspore(path: Path) -> list[str]:
    """Of the parameters in a MindSpore checkpoint; none of another file."""
    with open(path, "rb") as file:
        begins_so = file.read(1) == b"\n"  # the first field of a protocol buffer, which is a message
    return list(read_mindspore(path)) if begins_so and path.suffix == ".ckpt" else []


def _is_ours(names: Collection[str]) -> bool:
    return is_own(names) or (known_checkpoint(names) is None and any(name.startswith(BACKBONE) for name in names))


def _kind_of_ours(cfg: Config, path: Path, names: Collection[str]) -> str:
    """A backbone alone, or a network of another task, whose backbone is meant, or the whole network."""
    names, wanted = [name for name in names if not name.startswith(STATE_PREFIX)], TASKS[cfg.task].name
    is_other = bool(names) and checkpoint_facts(path).get("task", wanted) != wanted
    is_trunk = bool(names) and all(name.startswith(BACKBONE) for name in names)
    return "-backbone" if is_other or is_trunk else ""


def _converted(cfg: Config, weights: Path, names: Collection[str], folder: Path, is_training: bool) -> tuple[str, Path]:
    """(kind, path) of the converted file, which may be there already."""
    settings = json.dumps(score_settings(cfg) | {"finetune": cfg.finetune}, sort_keys=True)
    digest = hashlib.sha256(f"{checkpoint_hash(weights)} {settings}".encode()).hexdigest()[:8]
    paths = {kind: folder / f"{weights.stem[:LONGEST_STEM]}-{digest}{kind}.ckpt" for kind in KINDS}
    for kind, path in paths.items():
        if is_file(path):
            print(f"{weights}: converted already, into {path}", flush=True)
            return kind, path
    print(f"{weights} is no checkpoint of this project: it is converted into {folder}", flush=True)
    # pointrend starts from a Mask R-CNN; HRNetW48_seg too leaves out the last layer of another data set's checkpoint.
    finetune = cfg.finetune or (is_training and known_checkpoint(names) in (MASK_RCNN, HRNET_W48_SEG))
    wanted = replace(cfg, pt_path=str(weights), ckpt_path=str(paths[""]), finetune=finetune)
    done = convert_file(wanted, says_use=False)
    kind = "-backbone" if done.unset else "-finetune" if done.dropped or done.other_heads else ""
    os.replace(paths[""], paths[kind])
    key = KINDS[kind] if is_training else "--checkpoint_path"
    print(f"the converted file is {paths[kind]}{'' if kind and not is_training else f', given as {key}'}", flush=True)
    return kind, paths[kind]


def _arguments(path: Path, kind: str, is_training: bool) -> list[str]:
    if is_training:
        return [KINDS[kind], str(path), *(("--finetune", "1") if kind == "-finetune" else ())]
    if kind:
        raise UserError(f"{path} holds no whole network of the configuration, which an evaluation needs")
    return ["--checkpoint_path", str(path)]


if __name__ == "__main__":
    main()
