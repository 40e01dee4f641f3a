"""A network behind a web page: `python -m src.commands.serve --run RUN_FOLDER [--port 8000] [--host 127.0.0.1]
[--key value ...]`, or `--checkpoint_path FILE` (a checkpoint or an exported file) in the place of the run.

Drop an image, move the least score, switch classes on and off, download what infer.py would write. Nothing that is
uploaded is kept, and the page asks nobody but this server. It is for this machine alone unless --host says otherwise.
Needs Gradio: pip install "gradio>=6.31,<7".
"""

import argparse
import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..api import loaded
from ..config.arguments import Arguments, number, whole_number
from ..config.overrides import parse_overrides
from ..config.unread import SERVE, tell_unread
from ..errors import UserError, plain
from ..files import sweep, temporary_folder
from ..process.caches import user_caches
from ..process.command import entry_point
from ..process.environment import prepare_gradio
from ..process.logs import start_logging
from ..serving.limits import Limits
from ..serving.place import address, bound, is_loopback

FOLDER = "page"  # of the user's caches: files of a page that runs


@entry_point
def main(argv: list[str] | None = None) -> None:
    usual = Limits()
    parser = Arguments(
        prog="python -m src.commands.serve", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--run", default="", metavar="FOLDER", help="of a training: its best checkpoint is served")
    parser.add_argument("--checkpoint_path", default="", metavar="FILE", help="a checkpoint, MINDIR or ONNX file")
    parser.add_argument("--config_path", default="", metavar="FILE", help="in the place of its own configuration")
    parser.add_argument("--port", type=whole_number(0, 65535), default=8000, help="8000; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1: this machine alone; 0.0.0.0: every network")
    parser.add_argument("--max_megabytes", type=number(0.001, 1000), default=usual.megabytes,
                        help=f"of an uploaded file, by default {usual.megabytes}")  # fmt: skip
    parser.add_argument("--max_megapixels", type=number(0.001, 1000), default=usual.megapixels,
                        help=f"millions of pixels of an image, by default {usual.megapixels}")  # fmt: skip
    parser.add_argument("--max_waiting", type=whole_number(1, 1000), default=usual.waiting,
                        help=f"requests in the queue, by default {usual.waiting}")  # fmt: skip
    own, rest = parser.parse_known_args(argv)
    source = _one_of(own.run, own.checkpoint_path)
    keys = dict(parse_overrides(rest)) | ({"config_path": own.config_path} if own.config_path else {})
    start_logging()
    serve(source, keys, own.host, own.port, Limits(own.max_megabytes, own.max_megapixels, own.max_waiting))


def serve(source: str, keys: dict[str, Any], host: str, port: int, limits: Limits) -> None:
    """Answer until a signal comes, and end with its status. UserError for a place or a file that is wrong, before
    anything is served.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError('the page needs Gradio: pip install "gradio>=6.31,<7"')
    with bound(host, port) as one:
        if not is_loopback(one):
            what = "whoever reaches this machine can use the page, which asks for no password"
            print(f"warning: --host {plain(host)}: {what}", flush=True)
        model = loaded(source, keys)
        tell_unread(model.config, SERVE)
        with _private_folder() as folder:
            prepare_gradio(folder)
            from ..serving import server  # Gradio looks at its variables as it is imported

            app, sweeper = server.application(model, _title(source), folder, limits, is_loopback(one))
            print(f"{plain(source, 200)} is served at {address(one)} until Ctrl-C", flush=True)
            number = server.run(app, sweeper, one)
    if number:
        raise SystemExit(128 + number)


def _one_of(run: str, checkpoint: str) -> str:
    if bool(run) == bool(checkpoint):
        raise UserError(f"give {'either ' if run else ''}--run FOLDER or --checkpoint_path FILE; see --help")
    return run or checkpoint


def _title(source: str) -> str:
    return Path(os.path.abspath(source)).name.encode(errors="replace").decode()


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder for this user's eyes alone, gone afterwards; those of pages that were killed go too."""
    place = user_caches() / FOLDER
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent, FOLDER)
        with temporary_folder(place) as folder:
            folder.chmod(0o700)
            yield folder
    except OSError as error:
        if str(place.parent) not in str(error.filename):
            raise
        raise UserError(f"{place.parent}: the page's files cannot be there ({error.strerror})") from None


if __name__ == "__main__":
    main()
