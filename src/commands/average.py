"""The mean of the weights of several checkpoints of one network (stochastic weight averaging, model soups):

    python -m src.commands.average RUN_FOLDER --last 5 --out averaged.ckpt [--key value ...]

Weights and running statistics are averaged, whole numbers are the newest checkpoint's. The result is a checkpoint as
any other; it and its parts are evaluated by the run's own configuration, in which --key value replaces keys.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import STATE_PREFIX, checkpoint_facts, read_checkpoint, save_arrays
from ..config import Config, load_config, save_values
from ..config.arguments import Arguments, whole_number
from ..engine.checkpoint_folders import BestFolder, CheckpointFolder
from ..engine.run_folder import has_begun
from ..errors import UserError, listed
from ..outputs import Inputs, check_output_file
from ..process.command import entry_point
from ..process.logs import quiet_logs, start_logging
from ..reading import is_folder
from ..tasks import TASKS
from .evaluate import evaluate

MOST = 1000  # checkpoints
SAME = ("task", "class_names", "definition")  # facts that the parts must share
SHOWN = 3  # names in a message


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(
        prog="python -m src.commands.average", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("sources", nargs="+", help="folder of a run, or two checkpoints at least, the newest one last")
    which = parser.add_mutually_exclusive_group()
    count = whole_number(2, MOST)
    which.add_argument("--last", type=count, help="so many of the run's last states; by default all that there are")
    which.add_argument("--best", type=count, help="so many of the run's best weights")
    parser.add_argument("--out", required=True, help="checkpoint to write; an existing file is never replaced")
    parser.add_argument("--no_eval", action="store_true", help="only write it")
    own, overrides = parser.parse_known_args(argv)
    if own.no_eval:  # which reads no key
        parser.parse_args(argv)
    quiet_logs()
    start_logging()
    parts = parts_of(own.sources, own.last, own.best)
    out = Path(own.out)
    _check_out(out, parts)
    cfg = None if own.no_eval else _configuration(own.sources, parts[-1], overrides)
    values, facts = average(parts)
    save_arrays(values, out, facts)
    print(f"{out}: the mean of {', '.join(path.name for path in parts)}", flush=True)
    if cfg is not None:
        compare(cfg, [*parts, out])


def parts_of(sources: Sequence[str], last: int | None = None, best: int | None = None) -> list[Path]:
    """The checkpoints to average, the newest last: those that are named, or of a run's folder its last states or best
    weights. UserError where there are fewer than asked for.
    """
    paths = [Path(source) for source in sources]
    if len(paths) == 1 and is_folder(paths[0]):
        return _parts_of_run(paths[0], last, best)
    if last or best:
        raise UserError(f"--{'last' if last else 'best'} chooses among a run's checkpoints; give its folder alone")
    if folders := [path for path in paths if is_folder(path)]:
        raise UserError(f"{folders[0]} is a folder; give one run's folder alone, or checkpoints alone")
    known: dict[Path, Path] = {}
    for path in paths:
        if known.setdefault(path.resolve(), path) is not path:
            raise UserError(f"{path} is given twice")
    if len(paths) < 2:
        raise UserError(f"{paths[0]} is one checkpoint; an average has two at least, or give a run's folder")
    return paths


def average(parts: Sequence[Path]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The mean of the parts' weights and running statistics, and the facts of the last part.

    Means are worked out in double precision; what is no floating-point number is the last part's. UserError where the
    parts are not of one network.
    """
    first, facts = _network(parts[0]), checkpoint_facts(parts[0])
    sums = {name: value.astype(np.float64) for name, value in first.items()}
    last = first
    for path in parts[1:]:
        last, own = _network(path), checkpoint_facts(path)
        _require_same(parts[0], first, facts, path, last, own)
        for name, value in last.items():
            sums[name] += value
        facts = own
    means = {name: total / len(parts) for name, total in sums.items()}
    floating = {name for name, value in last.items() if np.issubdtype(value.dtype, np.floating)}
    return {name: means[name].astype(one.dtype) if name in floating else one for name, one in last.items()}, facts


def compare(cfg: Config, checkpoints: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Evaluate each and print the metrics that the task reports side by side; all metrics by checkpoint."""
    metrics = {str(path): evaluate(replace(cfg, checkpoint_path=str(path))) for path in checkpoints}
    reported = TASKS[cfg.task].reported
    names = [name for name in reported if all(name in found for found in metrics.values())]
    own = [path.name for path in checkpoints]
    shown = own if len(set(own)) == len(own) else [str(path) for path in checkpoints]  # of two runs
    width = max(map(len, shown))
    print(f"{'checkpoint':<{width}}" + "".join(f"  {name:>12}" for name in names))
    for label, path in zip(shown, checkpoints):
        print(f"{label:<{width}}" + "".join(f"  {metrics[str(path)][name]:>12.4f}" for name in names), flush=True)
    return metrics


def _parts_of_run(folder: Path, last: int | None, best: int | None) -> list[Path]:
    if not has_begun(folder):
        raise UserError(f"no run has begun in {folder}: there are no checkpoints in ckpt/ or best_ckpt/")
    if best:
        weights = BestFolder(folder / "best_ckpt", best)
        found = sorted(weights.best_first()[:best], key=weights.epoch)
    else:
        found = CheckpointFolder(folder / "ckpt", 0).newest_first()[: last or MOST][::-1]
    if len(found) < (best or last or 2):
        wanted = f"--best {best}" if best else f"--last {last}" if last else "an average"
        place, keep = ("best_ckpt", "keep_best_checkpoints_max") if best else ("ckpt", "keep_checkpoint_max")
        least = "" if best or last else ", which has two at least"
        raise UserError(f"{folder / place} holds {len(found)} checkpoints, too few for {wanted}{least} ({keep})")
    return found


def _network(path: Path) -> dict[str, np.ndarray]:
    return {name: value for name, value in read_checkpoint(path).items() if not name.startswith(STATE_PREFIX)}


def _require_same(one: Path, first: dict, facts: dict, other: Path, second: dict, own: dict) -> None:
    """UserError, in one line, unless two checkpoints are of one network with the same outputs."""
    what = f"{one} and {other} are not of one network"
    for name in SAME:
        theirs, ours = facts.get(name), own.get(name)
        if theirs != ours and isinstance(theirs, dict) and isinstance(ours, dict):
            keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
            raise UserError(f"{what}: they have other values of {listed(keys, SHOWN)}")
        if theirs != ours:
            raise UserError(f"{what}: they have another {name}")
    if missing := sorted(first.keys() ^ second.keys()):
        raise UserError(f"{what}: only one of them has {listed(missing, SHOWN)}")
    for name, value in first.items():
        if value.shape != second[name].shape:
            raise UserError(f"{what}: {name} is {list(value.shape)} in one, {list(second[name].shape)} in the other")


def _check_out(out: Path, parts: Sequence[Path]) -> None:
    if out.suffix != ".ckpt":
        raise UserError(f"--out {out} must end with .ckpt, which is how MindSpore knows its checkpoints")
    if os.path.lexists(out):
        raise UserError(f"--out {out} exists already; give another name or remove it first")
    check_output_file("--out", out, Inputs(tuple(("a checkpoint", path) for path in parts)))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: its folder cannot be made ({error.strerror})") from None


def _configuration(sources: Sequence[str], newest: Path, overrides: Sequence[str]) -> Config:
    """That of the run, or what the newest checkpoint says of it; it is known then that its data are there."""
    saved = Path(sources[0]) / "config.yaml"
    if not is_folder(sources[0]) or not saved.exists():
        values = checkpoint_facts(newest).get("config")
        if not isinstance(values, dict):
            raise UserError(f"{newest} does not say by which configuration it is evaluated; --no_eval leaves that out")
        with tempfile.TemporaryDirectory() as folder:
            save_values(values, f"{folder}/config.yaml")
            cfg = load_config(f"{folder}/config.yaml", overrides)
    else:
        cfg = load_config(str(saved), overrides)
    apart = {"prediction_path": "", "report_dir": "", "format_only": False, "backend": "mindspore"}
    cfg = replace(cfg, run_distribute=False, **apart)
    try:
        TASKS[cfg.task].open(cfg, "val")
    except UserError as error:
        raise UserError(f"{error}; --no_eval leaves the evaluation out") from None
    return cfg


if __name__ == "__main__":
    main()
