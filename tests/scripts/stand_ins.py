"""Stand-ins for Python, mpirun, msrun and nvidia-smi, and the launchers run with them."""

import os
import stat
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
TRAIN = ("config.yaml", "train", "val", "out", "first")
DISTRIBUTED = ("config.yaml", "2", *TRAIN[1:])
VERSION = '[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }'


def stand_in(place: Path, name: str, text: str) -> None:
    path = place / "bin" / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run(place: Path, script: str, *arguments: str, **environment: str):
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {**inherited, "PYTHON": str(place / "bin" / "python"), "LAUNCH_LOGS": str(place / "logs"), **environment}
    settings["PATH"] = f"{place / 'bin'}:{settings['PATH']}"
    command = ["bash", str(SCRIPTS / script), *arguments]
    return subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, timeout=60)


def value(output: str, key: str) -> str:
    words = output.splitlines()
    return words[words.index(f"--{key}") + 1]
