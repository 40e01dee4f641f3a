"""Published weights on this machine: downloaded once, checked, converted by their configuration, and kept.

    HOME/weights/NAME/FILE                            as it was downloaded, or put there by hand
    HOME/weights/NAME/CONFIG-HASH/config.yaml         what it was converted by
    HOME/weights/NAME/CONFIG-HASH/ckpt/NAME.ckpt      the checkpoint, laid out as a run's
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..config import config_hash, load_config, save_values
from ..config.portable import portable_values
from ..config.ready import CONFIGS, located
from ..convert.digest import OtherContent, check_name
from ..convert.published import Published
from ..errors import UserError, listed, one_line, plain
from ..file_facts import read_facts
from ..files import sweep, temporary_folder
from ..process.caches import weights_home, weights_mirror, weights_table
from ..process.child import run_module
from .download import download, forget

SUFFIXES = (".pth", ".pt", ".pkl", ".safetensors", ".ckpt", ".pdparams", ".bin")  # of files of weights
LOCK = ".lock"
HASH = 8  # digits

Say = Callable[[str], None]


@dataclass(frozen=True)
class Weights:
    """A row of the table by its name. mirror: a server to take its file from; table: the file of a table of one's own.
    """

    name: str
    row: Published
    mirror: str = ""
    table: str = ""

    @property
    def folder(self) -> Path:
        return weights_home() / self.name

    @property
    def address(self) -> str:
        """Of the file itself; empty where the table has only that of a page."""
        mirror = self.mirror or weights_mirror()
        if mirror and self.row.file:
            return f"{mirror.rstrip('/')}/{quote(self.name)}/{quote(self.row.file)}"
        last = unquote(urlsplit(self.row.address).path.rpartition("/")[2])
        is_direct = last == self.row.file or Path(last).suffix.lower() in SUFFIXES
        return self.row.address if self.row.file and is_direct else ""

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be downloaded."""
        place = self.folder / self.row.file if self.row.file else f"{self.folder}/, under any name"
        where = "download it yourself" if self.address else f"get it from {self.row.address}"
        return f"{where} and put it at {place}"

    def file(self) -> Path | None:
        """The file that is here; where the table does not know its name, the only one of weights that is."""
        if self.row.file:
            return self.folder / self.row.file if (self.folder / self.row.file).is_file() else None
        found = sorted(path for path in self.folder.glob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if len(found) > 1:
            raise UserError(f"{self.folder} holds {listed(path.name for path in found)}; leave one of them there")
        return found[0] if found else None

    def config_path(self, typed: str = "") -> Path:
        """The configuration that the file is converted by: of those that its row names the one that is typed,
        otherwise the first. UserError where it is not there, or the row names none.
        """
        places = [self._place_of(name) for name in (*self.row.configs, *self.row.backbone_of)]
        if not places:
            raise UserError(f"zoo:{self.name}: its row names no configuration, and a file of another project has none")
        if not places[0].is_file():
            raise UserError(f"zoo:{self.name}: its configuration {places[0]} does not exist")
        own = typed and os.path.realpath(located(Path(typed)))
        return next((place for place in places if os.path.realpath(place) == own), places[0])

    def _place_of(self, config: str) -> Path:
        """A name of configs/, or in a table of one's own a file beside it."""
        own = self.table or weights_table()
        if config.endswith(".yaml") and own:
            return Path(own).resolve().parent / config
        return CONFIGS / f"{config}.yaml"

    @property
    def is_backbone(self) -> bool:
        return bool(self.row.backbone_of) and not self.row.configs

    def fetched(self, say: Say = print) -> Path:
        """The file as its project has it, downloaded unless it is here. UserError where it cannot be had, or is another
        one than the table says.
        """
        with _alone(self.folder, say):
            return self._fetched(say)

    def converted(self, typed: str = "", say: Say = print, account: Say | None = None) -> Path:
        """The checkpoint: the file itself where it is one of this project, otherwise what it is converted into, once.

        typed: the configuration that the command is given. account: is told what the conversion says of itself.
        """
        file = self.file()
        if file and _is_own(file):
            return self._checked(file)
        if Path(self.row.file).suffix == ".ckpt" and not self.row.configs and not self.row.backbone_of:
            file = self.fetched(say)
            if _is_own(file):
                return file
        path = self._checkpoint(typed)
        if _is_current(path, file):
            return path
        with _alone(self.folder, say):
            file = self._fetched(say)
            if _is_own(file):
                return file
            if not _is_current(path, file):
                self._convert(file, path, typed, account or (lambda line: None))
                say(f"{file.name} converted into {path}")
        return path

    def _checkpoint(self, typed: str) -> Path:
        config = self.config_path(typed)
        digits = config_hash(load_config(str(config)))[:HASH]
        return self.folder / f"{config.stem}-{digits}" / "ckpt" / f"{self.name}.ckpt"

    def _fetched(self, say: Say) -> Path:
        file = self.file()
        if file:
            return self._checked(file)
        if not self.address:
            raise UserError(f"{self.name} has no direct address: {self.by_hand}")
        target = self.folder / self.row.file
        for is_last in (False, True):
            part, came_in_pieces = download(self.address, target, self.by_hand, say)
            try:
                proof, doubt = check_name(part, target.name, self.row.sha256)
            except OtherContent as error:
                forget(target)
                if came_in_pieces and not is_last:
                    say(f"the pieces of {target.name} are not of one file: it is downloaded from the beginning")
                    continue
                raise UserError(f"{self.address}: what came is not kept: {error.why}") from None
            break
        os.replace(part, target)
        forget(target)
        try:
            _is_own(target)
        except UserError as error:
            target.unlink()
            why = str(error).replace(str(target), target.name)
            raise UserError(f"{self.address}: what came is not kept: {why}") from None
        say(proof or doubt or f"{target.name}: nothing says its SHA-256, which is not checked")
        return target

    def _checked(self, file: Path) -> Path:
        """A file that is here, put there by hand perhaps. UserError for another one than the table says."""
        check_name(file, self.row.file or file.name, self.row.sha256)
        return file

    @property
    def _anew(self) -> str:
        """What helps where the file that is here is a bad one, for the end of a message."""
        return "; once it is removed the same command downloads it anew" if self.address else ""

    def _convert(self, file: Path, path: Path, typed: str, account: Say) -> None:
        config, whole = self.config_path(typed), path.parents[1]
        sweep(self.folder)
        try:
            with temporary_folder(whole) as folder:
                inner = folder / "whole" / "ckpt" / path.name
                files = ("--pt_path", str(file), "--ckpt_path", str(inner))
                source = ("--source", self.row.source) if self.row.source else ()
                done = run_module("commands.cli", ["convert-weights", "--config_path", str(config), *files, *source])
                if done.returncode or not inner.is_file():
                    why = _last_words(done.stderr.replace(str(file), file.name))
                    raise UserError(f"{file} cannot be converted: {why}{self._anew}")
                for line in (done.stdout + done.stderr).splitlines():
                    if str(folder) not in line:  # which is gone in a moment
                        account(line)
                save_values(portable_values(load_config(str(config))), str(inner.parents[1] / "config.yaml"))
                shutil.rmtree(whole, ignore_errors=True)  # of an older file
                os.replace(folder / "whole", whole)
        except OSError as error:
            raise UserError(f"{whole}: cannot be written ({error.strerror})") from None


def require_whole(weights: Weights) -> None:
    """UserError for a backbone alone, which no command evaluates or runs."""
    if weights.is_backbone:
        raise UserError(
            f"zoo:{weights.name} is a backbone alone, of {listed(weights.row.backbone_of)}: "
            f"train.py --config_path C --backbone.pretrained zoo:{weights.name} takes it"
        )


def _is_own(file: Path) -> bool:
    """Whether it is a checkpoint of this project, which needs no conversion. UserError for one that is damaged."""
    return file.suffix == ".ckpt" and bool(read_facts(file))


def _is_current(path: Path, file: Path | None) -> bool:
    """Whether a checkpoint is there, converted after the file was last changed, which may be gone since."""
    try:
        return path.stat().st_mtime_ns >= (file.stat().st_mtime_ns if file else 0)
    except OSError:
        return False


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return plain(one_line(lines[-1]).removeprefix("error: "), 400) if lines else "its process ended without a word"


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """One process at a time: the others wait, which they say. Where the file system has no locks nobody waits."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        why = error.strerror
        raise UserError(f"{folder} cannot be written ({why}): VISION_ZOO_HOME names another folder") from None
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another process has {folder}: waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
