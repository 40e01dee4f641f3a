"""What every task answers. Who stands above asks `TASKS[cfg.task]` once and then this object, never which one it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ..checkpoint import checkpoint_hash, load_model_weights
from ..config import Config, config_hash, to_dict
from ..config.definition import DETECTION, definition
from ..config.train_sets import texts
from ..data.loader import Samples
from ..data.pictures import ImageSource
from ..data.survey import Survey
from ..errors import UserError, short
from ..inference.backends import open_model, reordered, require_fit
from ..inference.draw_inferred import drawing_of
from ..inference.drawing import Drawing
from ..inference.find import Predict
from ..inference.found import Found
from ..inference.sample_pictures import Draw
from ..inference.sheets import Drawer
from ..models.build_operators import set_convolutions, set_resizing
from ..models.build_precision import check_precision, set_precision
from ..models.fold import fold_batchnorm
from ..outputs import Inputs
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.log_words import Words
from ..process.runtime import Runtime
from ..reading import is_file
from .meaning import in_batches, matched_classes, say_unnamed, stated_facts, tell_definition
from .reporting import Reporting

Evaluator = Callable[[nn.Cell], dict[str, float]]
Section = tuple[str, Iterator[str]]  # title, lines
GIVE_CHECKPOINT = "give --checkpoint_path FILE.ckpt"


class Task(Reporting, ABC):
    """One kind of work on images: its data, network, scores, predictions, and what others need to be told of them.

    Of reports it has what `Reporting` has. metric: the score that ranks checkpoints; reported: those of the log,
        as far as a network has them (a detector without masks has none of masks).
    epoch_line: the log line at the end of an epoch, filled by name: epoch, epochs, steps, milliseconds, per_step
        (milliseconds), loss (mean), lr (last).
    writes_folder: `pred_output` is a folder of pictures instead of one JSON file.
    network_sections: sections of the configuration with keys of `config.definition` that its networks have.
    kind_key: the key that says which of its networks is built, where it has several.

    Data sets are looked at before anything else happens: UserError for what is wrong with them.
    """

    metric: str
    reported: tuple[str, ...]
    epoch_line = "Train epoch time: {milliseconds:.3f} ms, per step time: {per_step:.3f} ms, avg loss: {loss:.6f}"
    writes_folder = False
    network_sections: tuple[str, ...] = ("backbone",)
    kind_key = ""

    # ------------------------------------------------------------------------------------------- network and data

    def system(self, cfg: Config) -> str:
        """What the configuration builds, in one word."""
        return self.name

    def run_names(self, cfg: Config) -> tuple[str, ...]:
        """The system's name in folders of runs; after it the names that older versions gave it."""
        return (self.system(cfg),)

    @abstractmethod
    def build_model(self, cfg: Config) -> nn.Cell:
        """The network, freshly initialised."""

    def words(self, cfg: Config) -> Words:
        """The lines of log and results in `cfg.log_style`; a task without an original has no others."""
        return Words("", cfg.log_style)

    @abstractmethod
    def open(self, cfg: Config, split: str) -> Any:
        """The data set of `split` 'train' or 'val'."""

    def resolved(self, cfg: Config) -> Config:
        """The configuration with what only the training data tell, for the run's config.yaml."""
        return cfg

    @abstractmethod
    def make_loader(self, cfg: Config, rank: int, size: int, start_step: int) -> Any:
        """Training batches from global step `start_step` on, for one of `size` ranks: a `data.loader.TrainLoader`."""

    def held_out_samples(self, cfg: Config) -> Any:
        """The validation data as a network trains on them, for `val_loss`: `data.held_losses.HeldOutSamples`."""
        raise UserError(f"val_loss: task {self.name} has no losses on its validation data")

    def input_size(self, cfg: Config) -> tuple[int, int]:
        """(height, width) of the images that an exported network takes."""
        return cfg.img_height, cfg.img_width

    def class_names(self, cfg: Config) -> tuple[str, ...]:
        """The classes that the network tells apart, in label order, as far as the configuration names them."""
        return tuple(cfg.class_names)

    def with_class_names(self, cfg: Config, names: Sequence[str]) -> Config:
        """The configuration with these classes."""
        return replace(cfg, class_names=list(names))

    def facts(self, cfg: Config, loader: Any = None) -> dict[str, Any]:
        """What a checkpoint says of itself, as JSON has it; loader: what `make_loader` gave for its training."""
        return {
            "task": self.name,
            "class_names": list(self.class_names(cfg)),
            "config": to_dict(cfg),
            "definition": definition(cfg, self.network_sections),
        }

    def tell_definition(self, cfg: Config, path: str, is_whole: bool = True) -> None:
        """Warn where the weights at `path`, of a whole network or for its backbone alone, are of one that computes
        something else than the configured one.
        """
        kept = [name for name in self.network_sections if is_whole or name not in DETECTION]
        tell_definition(cfg, path, kept, is_whole)

    def may_know_fewer(self, cfg: Config) -> tuple[bool, str]:
        """Whether a checkpoint may know fewer classes than the configuration, and how to allow it."""
        return False, ""

    def as_trained(self, cfg: Config) -> Config:
        """The configuration with the classes of the file at `cfg.checkpoint_path`, in the order of its outputs.

        The names in the file decide; where it has none the configuration's do, which is said. UserError: they are
        others.
        """
        if not is_file(cfg.checkpoint_path):
            return cfg  # which is said where it is loaded
        own, wanted = list(stated_facts(cfg).get("class_names") or ()), list(self.class_names(cfg))
        if not own:
            say_unnamed(cfg.checkpoint_path)
            return cfg
        if own == wanted:
            return cfg
        if wanted:
            matched_classes(own, wanted, cfg.checkpoint_path, *self.may_know_fewer(cfg))
        return self.with_class_names(cfg, own)

    def to_run(self, cfg: Config) -> tuple[Config, tuple[int, ...]]:
        """The configuration to evaluate and infer the file at `cfg.checkpoint_path` with, and the order in which its
        outputs must be taken for that; empty where they are in order.
        """
        return in_batches(self.as_trained(cfg), stated_facts(cfg)), ()

    # ------------------------------------------------------------------------------------------------- evaluation

    @abstractmethod
    def score(self, cfg: Config, model, dataset: Any, process: Runtime, protocol: dict | None = None) -> dict:
        """Metrics of `model`, a network in evaluation mode or an exported file, on every entry of `dataset`; printed.

        All ranks call it together, each runs the network on its share; rank 0 has the metrics, the others get an empty
        dictionary. protocol: what the caller knows of the run, printed beside the scores where the task does that.
        """

    def make_evaluator(self, cfg: Config, process: Runtime) -> Evaluator:
        """evaluate(model) -> metrics on the validation data, in the midst of training."""
        if cfg.report_dir:
            named = ((key, place) for key in ("train_dataset", "val_dataset") for place in texts(getattr(cfg, key)))
            self.check_report(cfg, Inputs(folders=tuple((key, Path(path)) for key, path in named if path)))
        dataset = self.open(cfg, "val")
        return lambda model: self.score(cfg, model, dataset, process, {"checkpoint": "in training"})

    def evaluate(self, cfg: Config) -> dict[str, float]:
        """What eval.py does."""
        if cfg.format_only:
            raise UserError(f"format_only is for detection and segmentation; task is {cfg.task}: infer.py takes files")
        if cfg.prediction_path:
            raise UserError(f"prediction_path is for detection only; task is {cfg.task}")
        if not cfg.checkpoint_path:
            raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}")
        cfg, order = self.to_run(cfg)
        dataset = self.open(cfg, "val")
        process = runtime.start(cfg, may_be_single=True)
        model = self.load(cfg)
        compile_once(cfg, process, model)
        return self.score(cfg, reordered(model, order), dataset, process)

    def origin(self, cfg: Config, protocol: dict | None) -> dict[str, Any]:
        """Of which configuration and weights a report is. protocol: what the caller of `score` knows of the run."""
        known = {"checkpoint": checkpoint_hash(cfg.checkpoint_path)} if cfg.checkpoint_path else {}
        return {"config": config_hash(cfg)} | known | (protocol or {})

    def sample_pictures(self, cfg: Config, count: int) -> Draw:
        """draw(model) -> pictures by name of `count` validation images, truth beside prediction; see
        `inference.sample_pictures`. UserError for a task that has none.
        """
        raise UserError(f"sample_pictures is {count}, but task {self.name} draws none")

    # -------------------------------------------------------------------------------------------------- inference

    def load(self, cfg: Config):
        """What `cfg.backend` runs: the network with the weights of `cfg.checkpoint_path`, or an exported file.

        Either is called by `run_model`. UserError: a file of another kind, or one that does not fit the configuration.
        """
        if cfg.backend != "mindspore":
            model = open_model(cfg.checkpoint_path, cfg.backend)
            require_fit(model, self.name, cfg.num_classes, self.input_size(cfg))
            return model
        check_precision(cfg)
        facts = stated_facts(cfg)  # no exported file, and of this task
        self._require_kind(cfg, facts)
        self.tell_definition(cfg, cfg.checkpoint_path)
        model = self.load_network(cfg, cfg.checkpoint_path, cfg.fold_batchnorm)
        set_convolutions(cfg, model)
        set_resizing(cfg, model)
        set_precision(cfg, model)
        return model

    def _require_kind(self, cfg: Config, facts: dict[str, Any]) -> None:
        theirs = facts["config"].get(self.kind_key) if isinstance(facts.get("config"), dict) else None
        ours = getattr(cfg, self.kind_key, None)
        if theirs not in (None, ours):
            what = f"{self.kind_key} {short(theirs)}, but the configuration has {self.kind_key} {ours}"
            raise UserError(f"{cfg.checkpoint_path} is of {what}")

    def load_network(self, cfg: Config, checkpoint_path: str, fold: bool = True) -> nn.Cell:
        """The network in evaluation mode with the weights of a checkpoint, every one of them.

        fold: batch normalisation goes into the convolutions.
        """
        model = self.build_model(cfg)
        load_model_weights(model, checkpoint_path)
        if fold:
            fold_batchnorm(model)
        model.set_train(False)
        return model

    def check_inference(self, cfg: Config) -> None:
        """UserError, before anything is computed, for keys that `infer` cannot use."""
        return

    def writes(self, cfg: Config) -> str:
        """What `infer` makes of `pred_output`: a "json" file, or a folder of "pictures" or of "labels"."""
        return "pictures" if self.writes_folder else "json"

    def predictor(self, cfg: Config, model) -> Predict:
        """What gives the results of images that `model` predicts; the data sets are asked here, once."""
        raise UserError(f"task {self.name} gives no results to a program")

    def predict(self, cfg: Config, model, images: Iterable[ImageSource]) -> Iterator[tuple[str, Found | None]]:
        """(name, what is found there) of files and pictures in memory, one after the other with bounded memory; None
        where an image cannot be read.
        """
        return self.predictor(cfg, model)(images)

    def drawing(self, cfg: Config) -> Drawing:
        """How `draw` draws what is found on an image."""
        return drawing_of(cfg)

    @abstractmethod
    def infer(self, cfg: Config, model, paths: Sequence[Path], output: Path) -> None:
        """Write the predictions on the image files `paths` to `output`; unreadable images are named."""

    # --------------------------------------------------------------------------------------------- exported files

    @abstractmethod
    def describe(self, cfg: Config) -> dict[str, Any]:
        """Metadata of an exported file: what its outputs mean, beside what every file tells."""

    @abstractmethod
    def example_inputs(self, cfg: Config) -> dict[str, dict[str, np.ndarray]]:
        """Named cases of network inputs by name, batch 1, that an exported file is checked with."""

    @abstractmethod
    def blank_inputs(self, cfg: Config) -> list[np.ndarray]:
        """One batch of one blank image of the configured size, as the network takes it."""

    def blank_columns(self, cfg: Config) -> dict[str, np.ndarray]:
        """One blank training sample of the configured size by the names of `train_columns`, without any object.

        Empty of a task that does not say: `summary` then tells nothing of its step.
        """
        return {}

    # ------------------------------------------------------------------------------------------------- inspection

    def headline(self, cfg: Config) -> str:
        """What will be trained, for `check`."""
        return f"{self.name} with {cfg.backbone.type}, {cfg.num_classes} classes"

    def rate_line(self, cfg: Config, images: int) -> str:
        """Optimizer and learning rate for `images` images a step, for `check`."""
        return f"{cfg.opt_type}, lr {cfg.lr} for {images} images a step"

    def has_validation(self, cfg: Config) -> bool:
        """Whether the configuration names validation data, or holds a share of the training data out."""
        return bool(cfg.val_dataset or cfg.val_split)

    def survey(self, cfg: Config, split: str) -> Survey | None:
        """The data set of a split in numbers and names; None of a task that does not tell them."""
        return None

    def samples(self, cfg: Config, split: str) -> Samples:
        """Those of a split as training has them; the `keys` of entries are places in the survey's `files`."""
        if split == "val":
            return self.held_out_samples(cfg)
        return self.make_loader(replace(cfg, batch_size=1), 0, 1, 0).source.samples

    def drawer(self, cfg: Config, split: str) -> Drawer:
        """What draws such samples. UserError for a task that draws none."""
        raise UserError(f"task {self.name} draws no samples")

    @abstractmethod
    def inspect(self, cfg: Config) -> Iterator[Section]:
        """What `check` tells of the data sets; the lines are worked out as they are taken."""
