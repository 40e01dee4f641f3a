"""The functions of moxing.file that this project calls, with moxing's own names and argument order."""

import os
import shutil
import time
from pathlib import Path


def _local(url: str) -> Path:
    return Path(os.environ["OBS_ROOT"]) / url.removeprefix("obs://") if url.startswith("obs://") else Path(url)


def _note(kind: str, source: str, target: str) -> None:
    with open(Path(os.environ["OBS_ROOT"]) / "calls.txt", "a") as calls:
        calls.write(f"{kind} {source} {target}\n")


def exists(url: str) -> bool:
    return _local(url).exists()


def is_directory(url: str) -> bool:
    return _local(url).is_dir()


def copy(source: str, target: str) -> None:
    _note("copy", source, target)
    shutil.copyfile(_local(source), _local(target))


def copy_parallel(source: str, target: str) -> None:
    _note("copy_parallel", source, target)
    time.sleep(float(os.environ.get("OBS_SECONDS", "0")))
    if "forbidden" in target:
        raise RuntimeError("403 Forbidden\nrequest id 17")
    shutil.copytree(_local(source), _local(target), dirs_exist_ok=True)
