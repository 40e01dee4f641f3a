"""Where a training job that has died goes on: `python scripts/started_run.py STAMP [arguments of train.py]`.

Prints the value of `--resume` for its restart: a run's folder where the job itself was to go on with one, 1 where it
has begun a run since the file STAMP was made, nothing where there is nothing of it, neither losses nor a checkpoint.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.config import load_config  # noqa: E402
from src.errors import UserError  # noqa: E402

WRITTEN = ("losses.csv", "ckpt/epoch_*.ckpt", "best_ckpt/*.ckpt")  # by a run that has begun


def value(stamp: Path, words: list[str]) -> str:
    """UserError for arguments that train.py would refuse."""
    k = words.index("--config_path")
    cfg = load_config(words[k + 1], words[:k] + words[k + 2 :])
    if cfg.resume is True:
        return "1"
    if cfg.resume:
        place = Path(cfg.resume).absolute()
        return str(place if place.is_dir() else place.parent.parent)
    since = stamp.stat().st_mtime_ns
    for folder in Path(cfg.train_outputs).glob("*"):
        written = (path for pattern in WRITTEN for path in folder.glob(pattern))
        if folder.name.endswith(f"_{cfg.brief}") and any(path.stat().st_mtime_ns >= since for path in written):
            return "1"
    return ""


if __name__ == "__main__":
    try:
        print(value(Path(sys.argv[1]), sys.argv[2:]))
    except UserError as error:
        sys.exit(f"error: no restart: {error}")
