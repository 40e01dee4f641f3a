"""A training run in progress: what belongs to it, where it stands, and the hooks that hear of it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor, nn

from ..config import Config
from ..errors import UserError
from ..process.runtime import Runtime
from ..tasks import Evaluator, Task
from .curves import CsvTable, Row
from .experiment import Experiment
from .loss_scale import counted_losses
from .lr_schedule import Schedule
from .pace import Pace
from .train_step import TrainStep, overwrite

RUN = "run/"  # where the run's own states lie among those of the hooks


@dataclass
class Epoch:
    """An epoch (or what the run did of it) that has just ended.

    steps: of the epoch; global_step: of the run. seconds: without what followed the last step's hooks.
    loss: mean of the total loss over the epoch's steps, those before a resume too.
    metrics: of the evaluation that followed, on every rank; empty where none was due, and for the hooks in front of it.
    best: the best weights so far, on rank 0, for the hooks behind the one that keeps them.
    pictures: of held-out images, (h, w, 3) uint8 BGR by name, on rank 0, for the hooks behind the one that draws them.
    """

    number: int
    steps: int
    global_step: int
    seconds: float
    loss: float
    metrics: dict[str, float] = field(default_factory=dict)
    best: Path | None = None
    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The row of metrics.csv."""
        return {"epoch": self.number, "global_step": self.global_step, "train_loss": self.loss} | self.metrics


class Hook:
    """Something that happens beside the steps. Subclasses answer what they want to hear of.

    Every rank has the same hooks and calls them at the same points, in the order of `HOOKS`: who writes files asks
    `run.process.is_main`, and who waits for other ranks does so on every rank. Who needs rows, or is about to keep
    weights, calls `run.fetch_rows()` first, which ends the run after a step that was not finite. A hook ends the run
    early by `run.last = run.done` in `on_epoch`, on every rank alike.
    """

    def on_start(self, run: "Run", state: Mapping[str, np.ndarray]) -> None:
        """Before the first step, or where a complete run has none left.

        state: what `state()` gave when the checkpoint was written from which the run goes on; empty for a new run.
        """

    def on_step(self, run: "Run", losses: tuple[Tensor, ...]) -> None:
        """A step is done. Its losses lie on the device still: looking at them makes the device wait for the host."""

    def on_rows(self, run: "Run", rows: Sequence[Row]) -> None:
        """Losses were fetched: rows of losses.csv, one for each step since the last time, in order."""

    def on_epoch(self, run: "Run", epoch: Epoch) -> None:
        """An epoch has ended, or the run within it; all rows are fetched."""

    def on_end(self, error: BaseException | None) -> None:
        """The run is over; `error` is what ended it early (SystemExit after a signal)."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that a checkpoint must hold for `on_start` to go on as if nothing had happened; rank 0's are kept.

        MindSpore's files leave out an array without elements.
        """
        return {}


@dataclass
class Run:
    """What travels together through training.

    process: this rank. evaluate: model -> metrics, None where nothing is evaluated.

    hooks: by name, in their order. done: steps that are done. last: the step after which the run ends. stopping: the
    signal by which it ends after the step just done, or 0. states: the hooks' own of the checkpoint that the run goes
    on from, named HOOK/KEY. owes_epoch: the run before this one ended before its hooks had heard of its last epoch.
    """

    cfg: Config
    task: Task
    step: TrainStep
    schedule: Schedule
    experiment: Experiment
    process: Runtime = Runtime()
    evaluate: Evaluator | None = None

    def __post_init__(self) -> None:
        self.hooks: dict[str, Hook] = {}
        self.done, self.stopping = 0, 0
        steps_per_epoch = self.schedule.steps_per_epoch
        ends = (self.cfg.epoch_size * steps_per_epoch, self.cfg.max_steps, self.cfg.end_epoch * steps_per_epoch)
        self.last = min(end for end in ends if end)
        self.states: dict[str, np.ndarray] = {}
        self.owes_epoch = False
        self.pace = Pace()
        self._told = 0  # step after which the hooks heard of an epoch last
        self._unread: list[tuple[int, tuple[Tensor, ...]]] = []  # (step, what it returned, still on the device)
        self._epoch_losses: list[float] = []
        self._bad_step, self._bad_loss_is_finite = 0, False
        self._put_off: list[Callable[[], None]] = []

    # ------------------------------------------------------------------------------------------- where the run stands

    @property
    def model(self) -> nn.Cell:
        """The network that is trained."""
        return self.step.model

    @property
    def epoch(self) -> int:
        """Epoch of the step just done, from 1."""
        return self.schedule.position(self.done)[0]

    @property
    def step_of_epoch(self) -> int:
        """Number of the step just done within its epoch, from 1."""
        return self.schedule.position(self.done)[1]

    @property
    def finished(self) -> bool:
        """No step is left."""
        return self.done >= self.last

    @property
    def ends_epoch(self) -> bool:
        """The step just done ended an epoch, or the run."""
        return self.step_of_epoch == self.schedule.steps_per_epoch or self.finished

    def is_due(self, every: int) -> bool:
        """Whether what happens `every` so many steps, and at the end of an epoch and of the run, happens now."""
        return self.step_of_epoch % every == 0 or self.ends_epoch or bool(self.stopping)

    # ------------------------------------------------------------------------------------------ what hooks may ask for

    def fetch_rows(self) -> None:
        """Fetch the losses of all steps since the last time and let the hooks know.

        Raises UserError, now and ever after, if one of the steps was not finite.
        """
        if self._unread:
            rows = [self._row(done, losses) for done, losses in self._unread]
            self._unread = []
            self._bad_step = int(self.step.bad_step.asnumpy())
            self._epoch_losses += counted_losses(rows)
            bad = [row["loss"] for row in rows if row["global_step"] == self._bad_step]
            self._bad_loss_is_finite |= bool(bad) and bool(np.isfinite(bad).all())
            for hook in self.hooks.values():
                hook.on_rows(self, rows)
        if self._bad_step:
            raise UserError(self._not_finite())

    def put_off(self, action: Callable[[], None]) -> None:
        """Do something once all hooks have heard of the step or epoch that is being told."""
        self._put_off.append(action)

    def hook_states(self) -> dict[str, np.ndarray]:
        """The hooks' own states by HOOK/KEY, for a checkpoint."""
        return {
            f"{name}/{key}": np.asarray(value)
            for name, hook in self.hooks.items()
            for key, value in hook.state().items()
        }

    def state_of(self, name: str) -> dict[str, np.ndarray]:
        """What the hook of this name had kept in the checkpoint from which the run goes on."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): value for key, value in self.states.items() if key.startswith(prefix)}

    def states_to_keep(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds beside the step's parameters: the hooks' states, and the run's own as RUN/KEY."""
        own = {"steps_per_epoch": self.schedule.steps_per_epoch, "told": self._told}
        return {RUN + key: np.int64(value) for key, value in own.items()} | self.hook_states()

    def copy_from_main(self, parameters: Iterable[Parameter]) -> None:
        """Give every rank the values that these parameters have on rank 0."""
        if self.process.size > 1:
            for parameter in parameters:
                value = self.process.from_main(parameter.asnumpy() if self.process.is_main else None)
                overwrite([parameter], [value])

    # --------------------------------------------------------------------------------------------- what the loop tells

    @contextlib.contextmanager
    def started_hooks(self) -> Iterator[None]:
        """While active, the hooks are started; they hear of the end whatever it is."""
        started: list[Hook] = []
        error: BaseException | None = None
        try:
            for name, hook in self.hooks.items():
                hook.on_start(self, self.state_of(name))
                started.append(hook)
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            for hook in started:
                hook.on_end(error)

    def take_states(self, states: dict[str, np.ndarray]) -> dict[str, int]:
        """Keep the hooks' states of a checkpoint; the run's own are returned, those of before have none."""
        own = {name: value for name, value in states.items() if name.startswith(RUN)}
        self.states = {name: value for name, value in states.items() if name not in own}
        return {name.removeprefix(RUN): int(value) for name, value in own.items()}

    def resume_told(self, told: int | None) -> None:
        """After the state is loaded: look whether an epoch has ended of which the hooks have not heard.

        told: step after which they heard of an epoch last, None for a checkpoint of before. A state is written before
        the hooks hear of an epoch, and once more afterwards only if they keep something.
        """
        self._told = told or 0
        if not self.ends_epoch or told == self.done:
            return
        evaluation = self.hooks.get("evaluation")
        is_due = bool(evaluation and evaluation.is_due(self))
        owes_states = told is not None and bool(self.states)
        # an epoch that is not evaluated leaves a row too, if the run is of a version that writes `told`
        table = CsvTable(self.experiment.folder / ("metrics.csv" if is_due else "epochs.csv"))
        leaves_row = is_due or (told is not None and "epoch_losses" in self.hooks)
        has_row = any(row["global_step"] == self.done for row in table.read())
        self.owes_epoch = owes_states or (leaves_row and not has_row)

    def count(self, numbers: tuple[Tensor, ...]) -> None:
        """One more step is done; numbers: what it returned, its losses first."""
        self.done += 1
        self._unread.append((self.done, numbers))

    def tell_step(self, numbers: tuple[Tensor, ...]) -> None:
        """Let the hooks know of the step just done; numbers as of `count`."""
        losses = numbers[: len(self.model.loss_names)]
        for hook in self.hooks.values():
            hook.on_step(self, losses)
        if self.ends_epoch or self.stopping:
            self.fetch_rows()
        self._do_what_was_put_off()

    def resume_losses(self) -> None:
        """Take up the losses of the epoch that the run goes on with, or has to make up."""
        is_within = self.done and self.step_of_epoch < self.schedule.steps_per_epoch
        if is_within or self.owes_epoch:
            losses = CsvTable(self.experiment.folder / "losses.csv").read() if self.process.is_main else []
            own = [row for row in losses if row["epoch"] == self.epoch and row["global_step"] <= self.done]
            self._epoch_losses = self.process.from_main(counted_losses(own))

    def make_up_epoch(self) -> None:
        """Let the hooks know of the epoch at whose end the run before this one was killed."""
        self.tell_epoch(0.0)
        self.owes_epoch = False

    def tell_epoch(self, seconds: float) -> None:
        """Let the hooks know of the epoch that has ended; the ranks wait for what rank 0 writes and draws."""
        loss = sum(self._epoch_losses) / max(len(self._epoch_losses), 1)
        self._epoch_losses = []
        epoch = Epoch(self.epoch, self.step_of_epoch, self.done, seconds, loss)
        for hook in self.hooks.values():
            hook.on_epoch(self, epoch)
        self._told = self.done
        self._do_what_was_put_off()
        self.process.barrier()

    def _do_what_was_put_off(self) -> None:
        actions, self._put_off = self._put_off, []
        for action in actions:
            action()

    def _row(self, done: int, numbers: tuple[Tensor, ...]) -> Row:
        values = [float(number.asnumpy()) for number in numbers]
        values, others = values[: len(self.model.loss_names)], values[len(self.model.loss_names) :]
        epoch, step_of_epoch = self.schedule.position(done)
        row = {"epoch": epoch, "step": step_of_epoch, "global_step": done, "lr": self.schedule.rate(done)}
        row |= {"loss": sum(values)} | dict(zip(self.model.loss_names, values))
        return row | dict(zip(self.step.row_names, others))

    def _not_finite(self) -> str:
        epoch, step_of_epoch = self.schedule.position(self._bad_step)
        last = self.experiment.checkpoints.newest_first()[:1] if self.process.is_main else []
        what, remedy = "the loss is not finite", "lr"
        if self._bad_loss_is_finite:
            what = "the loss is finite, but a gradient is not,"
        scale = self.step.loss_scale
        if self.step.scaler is not None:
            what = f"loss or gradients were not finite {self.step.scaler.most} times in a row (loss_scale_overflows),"
            remedy = "loss_scale_init or lr"
        elif self._bad_loss_is_finite and scale > 1:
            what = f"the loss is finite, but not its gradient times loss_scale {scale:g},"
            remedy = "loss_scale or lr"
        kept = f"the last good checkpoint is {last[0]}" if last else "no checkpoint had been written yet"
        return (
            f"{what} at epoch {epoch}, step {step_of_epoch} (global step {self._bad_step}): "
            f"training stops; {kept}. A lower {remedy}, a longer warmup_step or grad_clip may help"
        )
