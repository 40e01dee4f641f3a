"""What a run was made with, in a few lines for its log and for a bug report."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ..config import Config

ROOT = Path(__file__).parents[2]
PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "opencv-python", "pycocotools", "onednn-devel-cpu-gomp")
GIT_WAIT = 10.0  # seconds
SHOWN = 4  # changed files that are named


def provenance(cfg: Config) -> Iterator[str]:
    """Command line, commit, versions, device and seed, a line each."""
    yield f"command line: {command_line()}"
    yield f"commit: {commit()}"
    versions = [f"{name} {version}" for name in PACKAGES if (version := _version(name))]
    yield f"versions: Python {platform.python_version()}, {', '.join(versions)}, on {platform.platform()}"
    ranks = f"{cfg.device_num} ranks" if cfg.run_distribute else "one rank"
    yield f"device: {cfg.device_target}, {ranks}, {os.cpu_count()} cores here, mode {cfg.mode}; seed {cfg.seed}"


def command_line() -> str:
    """What was typed, as a shell takes it again: Python's own part too."""
    return " ".join(shlex.join(getattr(sys, "orig_argv", sys.argv)).split("\n"))


def commit(root: Path = ROOT) -> str:
    """The commit of the checkout that these sources are in, and whether they were changed since."""
    known = _git(root, "rev-parse", "--show-toplevel")
    if known is None or Path(known).resolve() != root.resolve():  # installed somewhere, perhaps inside another checkout
        return "unknown (the sources are in no git checkout, or there is no git)"
    tracked = _git(root, "status", "--porcelain", "--untracked-files=no")
    new = _git(root, "status", "--porcelain", "--", "src")  # elsewhere may lie data and outputs
    if tracked is None or new is None:
        state = "whether it was changed is unknown"
    else:
        files = {line[3:] for line in (tracked + "\n" + new).splitlines() if line}
        state = f"changed since ({len(files)} files: {', '.join(sorted(files)[:SHOWN])})" if files else "unchanged"
    return f"{_git(root, 'rev-parse', 'HEAD') or 'none yet'}, {state}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_WAIT, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.rstrip()
