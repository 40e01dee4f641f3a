"""A configuration to start from: `python -m src.commands.new --data DIR --out my.yaml [--preset tiny|small|published]`.

DIR is a folder of images and labels in any format that training reads, or a table of images and classes; what it holds
tells task, classes, sizes and the length of the run, and the reason stands beside each value. Keys of the configuration
that say how labels are to be taken (--allow_outside 1, --class_attribute kind) may follow, and become part of the file.
"""

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from ..checkpoint import read_checkpoint
from ..config import load_config
from ..config.arguments import Arguments, number
from ..config.commented import commented_yaml
from ..config.overrides import parse_overrides
from ..config.ready import CONFIGS, IS_INSTALLED, name_of
from ..data.start import STARTS
from ..data.start.recipe import PRESETS, Choice, Wish
from ..data.start.told import TASKS, tell
from ..errors import UserError, one_line
from ..files import temporary_path, write_text
from ..outputs import Inputs, check_output_file
from ..process.command import entry_point
from ..process.logs import quiet_logs, start_logging
from ..zoo.command_line import weights_path

WORDS = {
    "tiny": "a narrow network for a CPU, minutes to hours",
    "small": "a small network at moderate size",
    "published": "a published network at its own size",
}
CALLS = "python -m src.commands.check", "python -m src.commands.browse", "python train.py"  # that come next
CALLS_INSTALLED = "vision-zoo check", "vision-zoo browse", "vision-zoo train"


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(
        prog="python -m src.commands.new", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", required=True, help="folder of images and labels, or a table of images and classes")
    parser.add_argument("--out", required=True, help="file to write; an existing one is never replaced")
    words = "; ".join(f"{name}: {text}" for name, text in WORDS.items())
    parser.add_argument("--preset", choices=PRESETS, default="small", help=f"{words} (small)")
    parser.add_argument("--task", choices=TASKS, default="", help="what the data are for, where they do not tell")
    parser.add_argument("--pre_trained", default="", metavar="FILE", help="backbone's weights, or zoo:NAME")
    parser.add_argument("--memory", type=number(0.1, 1e5), default=0.0, help="GiB that training may take")
    own, rest = parser.parse_known_args(argv)
    quiet_logs()
    start_logging()
    typed = " ".join(map(shlex.quote, sys.argv[1:] if argv is None else argv))
    weights = weights_path(own.pre_trained)
    new(Path(own.data), Path(own.out), own.task, Wish(own.preset, own.memory, weights, rest), typed)


def new(data: Path, out: Path, task: str, wish: Wish, typed: str = "") -> Path:
    """The file, written and read back; what to do with it is printed. typed: the command line, for the file's head.

    UserError for data that nobody can tell, and where the file is there already.
    """
    if out.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(f"--out {out} must end with .yaml")
    if os.path.lexists(out):
        raise UserError(f"--out {out} exists already; give another name or remove it first")
    check_output_file("--out", out, Inputs())
    told = tell(str(data), task)
    typed_keys = dict(parse_overrides(wish.overrides))
    if "val_dataset" in typed_keys:
        told = replace(told, val=typed_keys["val_dataset"] and os.path.abspath(typed_keys["val_dataset"]))
    if given := typed_keys.get("backbone.pretrained"):
        wish = replace(wish, weights=given)
    if wish.weights:
        read_checkpoint(wish.weights)
    choices = STARTS[told.task](told, wish)
    choices["brief"] = choices.pop("brief", Choice(out.stem, "the run's name, after this file"))
    base = choices.pop("_base_")
    text = commented_yaml(
        [
            f"Written by: python -m src.commands.new {typed}".rstrip(),
            f"Preset {wish.preset}: {WORDS[wish.preset]}. Change what you know better; the rest is that of the base.",
        ],
        {"_base_": Choice(_reached(CONFIGS / base.value, out), base.reason)}
        | {name: Choice(one.value, _told(one)) for name, one in choices.items()},
    )
    _write(out, text)
    print(f"{out}: {told.task}, {choices['train_dataset'].reason}", flush=True)
    for name, one in choices.items():
        if one.warning:
            print(f"WARNING: {name}: {one_line(one.warning)}", flush=True)
    for call in CALLS_INSTALLED if IS_INSTALLED else CALLS:
        print(f"{call} --config_path {shlex.quote(str(out))}", flush=True)
    return out


def _told(choice: Choice) -> str:
    """The comment of a key."""
    if choice.warning in ("", choice.reason):
        return choice.reason
    return f"{choice.reason}. WARNING: {choice.warning}"


def _reached(base: Path, out: Path) -> str:
    """The base for a file at `out`: within the repository, which may be moved, its relative path, else the absolute
    one; of an installed package its name.
    """
    if IS_INSTALLED:
        return name_of(base)
    root, folder = CONFIGS.parent.resolve(), out.absolute().parent.resolve()
    return os.path.relpath(base.resolve(), folder) if folder.is_relative_to(root) else str(base.resolve())


def _write(out: Path, text: str) -> None:
    """Under another name first, by which it is read: what cannot be trained with gets no name of its own."""
    part = temporary_path(out)
    write_text(part, text)
    try:
        try:
            load_config(str(part))
        except UserError as error:
            raise UserError(str(error).replace(str(part), str(out))) from None
        if os.path.lexists(out):
            raise UserError(f"--out {out} exists already; give another name or remove it first")
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
