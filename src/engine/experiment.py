"""The folder of one training run: made or found again, with the resolved configuration and the log in it."""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoint import Facts, checkpoint_facts
from ..config import (
    Config,
    Difference,
    differences,
    leaves,
    load_config,
    run_format,
    save_config,
    save_values,
    why_damaged,
)
from ..errors import UserError
from ..process.logs import start_logging
from ..process.provenance import provenance
from .checkpoint_folders import BestFolder, CheckpointFolder
from .ranks import SHARING, has_same_batches
from .resume_place import resume_place
from .run_folder import FolderLock, briefs, check_name, has_begun, newest_run, remove_unbegun, sweep

logger = logging.getLogger(__name__)

MOST_SHOWN = 4  # keys of another configuration that a message names
# how a detector's images are resized in evaluation
EVALUATED = ("resize", "resize_limits", "eval_width", "eval_height", "eval_padding")
AS_STARTED = ("norm_bias_decay", *EVALUATED)  # keys that a resumed run may take from what it was started with
GROUPED = 2  # format of a run's config.yaml since which weight decay reaches gamma and beta


@dataclass(frozen=True)
class Experiment:
    """The folder of one run, which rank 0 alone reads and writes.

    cfg: the run's configuration: the one that was asked for, but where a resumed run goes on with what it had.
    changes: the keys with which a resumed run trains on otherwise than before. facts: what its checkpoints say of
    themselves. lock: keeps other processes out of the folder. is_new: this run has made it, and
    the folders `made_above` it, innermost first. start: the state that a resumed run is to go on from, None for the
    newest one.
    """

    folder: Path
    keep: int = 5  # checkpoints
    keep_best: int = 5
    cfg: Config | None = None
    changes: tuple[Difference, ...] = ()
    facts: Facts | None = None
    lock: FolderLock | None = None
    is_new: bool = False
    made_above: tuple[Path, ...] = ()
    start: Path | None = None

    @property
    def checkpoints(self) -> CheckpointFolder:
        """`ckpt/`: the last training states."""
        return CheckpointFolder(self.folder / "ckpt", self.keep, self.facts)

    @property
    def best(self) -> BestFolder:
        """`best_ckpt/`: the best weights."""
        return BestFolder(self.folder / "best_ckpt", self.keep_best, self.facts)

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.checkpoints.folder, self.best.folder):
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """The run: a start that ends in a UserError before it has begun leaves no folder, and the lock goes with it."""
        try:
            yield
        except UserError:
            if self.is_new:
                remove_unbegun(self.folder, self.made_above)
            raise
        finally:
            if self.lock:
                self.lock.let_go()

    def keep_config(self) -> None:
        """Write down the configuration of the steps to come; a resumed run that has none left keeps the one it had."""
        save_config(self.cfg, str(self.folder / "config.yaml"))


def open_experiment(cfg: Config, systems: Sequence[str], is_main: bool) -> Experiment:
    """Make `TRAIN_OUT/<yymmdd>_<system>_<brief>/`, or with `resume` find the newest one of this name, or the one that
    it names.

    systems: what is trained, by the name that a new folder gets and then by those of older versions.

    UserError if a new run would go into a folder that holds a run already, if another process trains there, or if a
    resumed one has another configuration where that matters. A folder in which no run has begun is nobody's.
    """
    outputs, start = Path(cfg.train_outputs), None
    names = [f"{name}_{cfg.brief}" for name in systems]
    check_name(f"yymmdd_{names[0]}")
    found = newest_run(outputs, names) if cfg.resume is True else None
    if isinstance(cfg.resume, str) and cfg.resume and is_main:
        found, start = resume_place(cfg.resume)
    folder = found or outputs / f"{datetime.date.today():%y%m%d}_{names[0]}"
    experiment = Experiment(folder, cfg.keep_checkpoint_max, cfg.keep_best_checkpoints_max, cfg, start=start)
    if not is_main:
        return experiment
    experiment = _take_folder(experiment, resumes=bool(cfg.resume))
    for line in provenance(cfg):
        logger.info(line)
    if cfg.resume and has_begun(folder):
        cfg, changes = _as_started(cfg, experiment)
        return replace(experiment, cfg=replace(cfg, resume=True), changes=changes)
    if found:
        logger.info("no run has begun in %s: starting afresh", found)
    elif cfg.resume:
        others = [f"{brief!r:.40}" for brief in briefs(outputs, systems) if brief != cfg.brief]
        known = f"; there are runs of brief {', '.join(others[:MOST_SHOWN])}" if others else ""
        logger.warning("no run of brief %r to resume in %s: starting afresh%s", cfg.brief, outputs, known)
    experiment.keep_config()
    return experiment


def _take_folder(experiment: Experiment, resumes: bool) -> Experiment:
    """Make the folder where it is missing, lock it, tidy it up, and start its log."""
    folder = experiment.folder
    try:
        is_new = not folder.exists()
        made_above = tuple(place for place in folder.parents if not place.exists())
        _refuse_begun(folder, resumes)
        experiment.make()
        lock = FolderLock(folder)
        start_logging(folder / "train.log")
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise UserError(f"train_outputs: cannot make {folder!s:.200}: {getattr(error, 'strerror', error)}") from None
    _refuse_begun(folder, resumes)  # by the run that has just left it
    sweep(folder)
    return replace(experiment, lock=lock, is_new=is_new, made_above=made_above)


def _refuse_begun(folder: Path, resumes: bool) -> None:
    if not resumes and has_begun(folder):
        raise UserError(f"{folder} holds a run already: go on with it by --resume 1, or give another --brief")


def _as_started(cfg: Config, experiment: Experiment) -> tuple[Config, tuple[Difference, ...]]:
    """The configuration with which a run goes on, and the free keys of its training that are other ones than before.

    A run whose weight decay leaves out gamma and beta goes on so, unless the command line says otherwise.
    UserError where a key is another one that must not be.
    """
    saved_file = experiment.folder / "config.yaml"
    if not _repair(saved_file, experiment.checkpoints):
        return cfg, ()
    then = load_config(str(saved_file))
    is_of_before = run_format(saved_file) < GROUPED
    if is_of_before and then.norm_bias_decay is True:
        then = replace(then, norm_bias_decay="mindspore")
    if then.norm_bias_decay == "mindspore":
        if "norm_bias_decay" in cfg.typed:
            then = replace(then, norm_bias_decay=cfg.norm_bias_decay)
        elif cfg.norm_bias_decay is True:
            cfg = replace(cfg, norm_bias_decay="mindspore")
    if {then.resize, cfg.resize} == {"fit", "short_long"} and "resize" not in cfg.typed:
        cfg = replace(cfg, **{name: getattr(then, name) for name in EVALUATED})
        logger.info("%s: the run goes on to evaluate with resize %s, as it was started", saved_file.parent, then.resize)
    _check_same_run(then, cfg, saved_file)
    if is_of_before:
        logger.info(
            "%s is of an earlier version and goes on as it was: norm_bias_decay is %r%s; an `accum` of its checkpoints "
            "becomes `moments`, what is no longer kept is passed over",
            saved_file.parent,
            cfg.norm_bias_decay,
            " (type 1 for weight decay on gamma and beta)" if cfg.norm_bias_decay == "mindspore" else "",
        )
    if isinstance(cfg.resume, str):  # what config.yaml says leads to the run
        cfg = replace(cfg, brief=then.brief, train_outputs=str(saved_file.parent.parent))
    training = {leaf.name for leaf in leaves(cfg) if (leaf.matters, leaf.on_resume) == ("training", "free")}
    return cfg, tuple(one for one in differences(then, cfg) if one.name in training)


def _repair(saved_file: Path, checkpoints: CheckpointFolder) -> bool:
    """Whether there is a run's configuration: where the file is damaged or gone, the newest checkpoint's that has one.

    What can be known of neither goes on as the command line has it, with a line that says so.
    """
    reason = why_damaged(saved_file)
    if not reason:
        return True
    for path in checkpoints.newest_first():
        with contextlib.suppress(UserError):
            values = checkpoint_facts(path).get("config")
            if values:
                save_values(values, str(saved_file))
                logger.warning("%s %s: written again from what %s says", saved_file, reason, path.name)
                return True
    logger.warning("%s %s: whether the keys are those that the run had is not checked", saved_file, reason)
    return False


def _is_same_place(one: Difference) -> bool:
    """Whether two texts, or two lists of texts, name the same files or folders."""
    both = [value if isinstance(value, list) else [value] for value in (one.then, one.now)]
    if not all(isinstance(text, str) and text for texts in both for text in texts):
        return False
    return len({tuple(map(os.path.realpath, texts)) for texts in both}) == 1


def _check_same_run(then: Config, cfg: Config, saved_file: Path) -> None:
    different = [one for one in differences(then, cfg) if one.on_resume == "same" and not _is_same_place(one)]
    if has_same_batches(then, cfg, saved_file):
        different = [one for one in different if one.name not in SHARING]
    if different:
        shown = [f"{name} ({then!r:.40} then, {now!r:.40} now)" for name, then, now, _ in different[:MOST_SHOWN]]
        shown += [f"{len(different) - MOST_SHOWN} more"] if len(different) > MOST_SHOWN else []
        raise UserError(f"{saved_file}: the run to resume was started with another {', '.join(shown)}")
