"""The folder of one training run: made or found again, with the resolved configuration and the log in it."""

import contextlib
import datetime
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoint import Facts
from ..config import Config, Difference, differences, leaves, load_config, run_format, save_config
from ..errors import UserError
from ..process.logs import start_logging
from ..process.provenance import provenance
from .checkpoint_folders import BestFolder, CheckpointFolder

logger = logging.getLogger(__name__)

MOST_SHOWN = 4  # keys of another configuration that a message names
GROUPED = 2  # format of a run's config.yaml since which weight decay reaches gamma and beta


@dataclass(frozen=True)
class Experiment:
    """The folder of one run, which rank 0 alone reads and writes.

    cfg: the run's configuration: the one that was asked for, but where a resumed run goes on with what it had.
    changes: the keys with which a resumed run trains on otherwise than before. facts: what its checkpoints say of
    themselves. made: files and folders that this start has made, outermost first.
    """

    folder: Path
    keep: int = 5  # checkpoints
    keep_best: int = 5
    cfg: Config | None = None
    changes: tuple[Difference, ...] = ()
    facts: Facts | None = None
    made: tuple[Path, ...] = ()

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

    def take_back(self) -> None:
        """Remove what a start that is refused has made, so that the corrected command finds the place free.

        What else lies in its folders stays, and they with it.
        """
        start_logging()  # closes the file
        for path in reversed(self.made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()

    def keep_config(self) -> None:
        """Write down the configuration of the steps to come; a resumed run that has none left keeps the one it had."""
        save_config(self.cfg, str(self.folder / "config.yaml"))


def open_experiment(cfg: Config, systems: Sequence[str], is_main: bool) -> Experiment:
    """Make `TRAIN_OUT/<yymmdd>_<system>_<brief>/`, or with `resume` find the newest one of this name.

    systems: what is trained, by the name that a new folder gets and then by those of older versions.

    UserError if a new run would go into a folder that holds a run already, or if a resumed one has another
    configuration where that matters.
    """
    outputs = Path(cfg.train_outputs)
    names = [f"{name}_{cfg.brief}" for name in systems]
    folder = outputs / f"{datetime.date.today():%y%m%d}_{names[0]}"
    if cfg.resume:
        folder = _newest_run(outputs, names) or folder
    elif is_main and (folder / "config.yaml").exists():
        raise UserError(f"{folder} holds a run already: go on with it by --resume 1, or give another --brief")
    experiment = Experiment(folder, cfg.keep_checkpoint_max, cfg.keep_best_checkpoints_max, cfg)
    if is_main:
        experiment = replace(experiment, made=_missing(experiment))
        try:
            experiment.make()
        except OSError as error:
            raise UserError(f"train_outputs: cannot make {folder}: {error.strerror}") from None
        start_logging(folder / "train.log")
        for line in provenance(cfg):
            logger.info(line)
        if cfg.resume and (folder / "config.yaml").exists():
            cfg, changes = _as_started(cfg, folder / "config.yaml")
            experiment = replace(experiment, changes=changes)
        else:
            if cfg.resume:
                logger.info("nothing to resume in %s: starting afresh", outputs)
            replace(experiment, cfg=cfg).keep_config()
    return replace(experiment, cfg=cfg)


def _missing(experiment: Experiment) -> tuple[Path, ...]:
    """Of what a start makes, what is not there yet, outermost first."""
    folder = experiment.folder
    places = [*reversed(folder.parents), folder, experiment.checkpoints.folder, experiment.best.folder]
    return tuple(path for path in (*places, folder / "train.log", folder / "config.yaml") if not path.exists())


def _newest_run(outputs: Path, names: Sequence[str]) -> Path | None:
    """The folder `<yymmdd>_<name>` of the latest day; of two of one day the one whose name comes first."""
    found = [
        (path.name[:6], -k, path)
        for k, name in enumerate(names)
        for path in outputs.glob(f"*_{name}")
        if path.is_dir() and path.name[6:] == f"_{name}"
    ]
    return max(found)[-1] if found else None


def _as_started(cfg: Config, saved_file: Path) -> tuple[Config, tuple[Difference, ...]]:
    """The configuration with which a run goes on, and the free keys of its training that are other ones than before.

    A run whose weight decay leaves out gamma and beta goes on so, unless the command line says otherwise.
    UserError where a key is another one that must not be.
    """
    then = load_config(str(saved_file))
    is_of_before = run_format(saved_file) < GROUPED
    if is_of_before and then.norm_bias_decay is True:
        then = replace(then, norm_bias_decay="mindspore")
    if then.norm_bias_decay == "mindspore":
        if "norm_bias_decay" in cfg.typed:
            then = replace(then, norm_bias_decay=cfg.norm_bias_decay)
        elif cfg.norm_bias_decay is True:
            cfg = replace(cfg, norm_bias_decay="mindspore")
    _check_same_run(then, cfg, saved_file)
    if is_of_before:
        logger.info(
            "%s is of an earlier version and goes on as it was: norm_bias_decay is %r%s; an `accum` of its checkpoints "
            "becomes `moments`, what is no longer kept is passed over",
            saved_file.parent,
            cfg.norm_bias_decay,
            " (type 1 for weight decay on gamma and beta)" if cfg.norm_bias_decay == "mindspore" else "",
        )
    training = {leaf.name for leaf in leaves(cfg) if (leaf.matters, leaf.on_resume) == ("training", "free")}
    return cfg, tuple(one for one in differences(then, cfg) if one.name in training)


def _is_same_place(one: Difference) -> bool:
    """Whether two texts name the same file or folder."""
    texts = (one.then, one.now)
    return all(isinstance(text, str) and text for text in texts) and len(set(map(os.path.realpath, texts))) == 1


def _check_same_run(then: Config, cfg: Config, saved_file: Path) -> None:
    different = [one for one in differences(then, cfg) if one.on_resume == "same" and not _is_same_place(one)]
    if different:
        shown = [f"{name} ({then!r:.40} then, {now!r:.40} now)" for name, then, now, _ in different[:MOST_SHOWN]]
        shown += [f"{len(different) - MOST_SHOWN} more"] if len(different) > MOST_SHOWN else []
        raise UserError(f"{saved_file}: the run to resume was started with another {', '.join(shown)}")
