"""`vision-zoo COMMAND ...`: every command of this project by one name, for an installed package.

Each is the code of the repository's script or module of that name.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .. import COMMAND, __version__
from ..errors import UserError, plain
from ..process.command import entry_point


class Command(NamedTuple):
    """module: beside this one, or of another room (`..data.convert`); function: in it, without arguments."""

    module: str
    function: str
    text: str


COMMANDS = {
    "train": Command(".entries", "train", "train a network; --resume 1 goes on with a stopped run"),
    "eval": Command(".entries", "evaluate", "scores of a checkpoint, and a report of them"),
    "infer": Command(".entries", "infer", "predictions on images: JSON, label files, pictures"),
    "draw": Command(".entries", "draw", "draw the predictions that infer wrote"),
    "export": Command(".entries", "export", "write a checkpoint as ONNX, MINDIR or AIR"),
    "weights": Command(".weights", "main", "published weights by their names: list, download, convert"),
    "convert-weights": Command(".entries", "convert_weights", "another project's weights as a checkpoint"),
    "convert-data": Command("..data.convert", "main", "labels of any format as COCO's or labelme's"),
    "new": Command(".new", "main", "a configuration to start from, for a folder of data"),
    "check": Command(".check", "main", "look at data and configuration, and run a few steps"),
    "browse": Command(".browse", "main", "a page of the data, with what is odd about them"),
    "compare": Command(".compare", "main", "two reports of eval side by side"),
    "summary": Command(".summary", "main", "parameters and shapes of a network"),
    "average": Command(".average", "main", "the mean of several checkpoints"),
    "serve": Command(".serve", "main", "a web page on which a network is tried"),
}
HELP = ("-h", "--help", "help")


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the first word names; without one they are listed."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in HELP:
        print(overview())
        return
    if words[0] == "--version":
        print(f"{COMMAND} {__version__}")
        return
    command = _command(words[0])
    sys.argv = [f"{COMMAND} {words[0]}", *words[1:]]
    getattr(importlib.import_module(command.module, __package__), command.function)()


def overview() -> str:
    """All commands in one screen."""
    widest = max(map(len, COMMANDS))
    lines = [f"{name:{widest}}  {one.text}" for name, one in COMMANDS.items() if _is_there(one)]
    usage = f"usage: {COMMAND} COMMAND [...]        {COMMAND} COMMAND --help tells the rest"
    return "\n".join([f"{COMMAND} {__version__}, a vision zoo on MindSpore", "", usage, "", *lines])


def _command(name: str) -> Command:
    """UserError for one that there is not."""
    known = [one for one, command in COMMANDS.items() if _is_there(command)]
    if name in known:
        return COMMANDS[name]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"{COMMAND} alone lists them"
    raise UserError(f"no command {plain(name)}; {hint}")


def _is_there(command: Command) -> bool:
    return importlib.util.find_spec(command.module, __package__) is not None


if __name__ == "__main__":
    main()
