"""Training from configuration to best checkpoint: `train(cfg)`."""

import logging
import math
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor
from tqdm import tqdm

from ..checkpoint import load_backbone_weights, load_model_weights
from ..config import Config
from ..errors import UserError
from ..models.build import build_model
from ..models.sync_norm import synchronise_batchnorm
from ..process import runtime
from ..process.logs import start_logging
from ..process.runtime import ALONE, Runtime
from .checkpoint_folders import BestFolder, CheckpointFolder
from .experiment import Experiment, open_experiment
from .lr_schedule import LrPolicy, learning_rates
from .observers import Observer, observing
from .optimizer import OptimizerSettings, build_optimizer
from .profiling import profiled
from .stop_signals import StopSignals
from .tasks import TASKS, Evaluator, Task
from .train_step import StepSettings, TrainStep

logger = logging.getLogger(__name__)

STOP_CHECK = 10  # steps between looks at whether the ranks are to stop (CPU: 1): the device's queue runs dry for it


def train(cfg: Config) -> Path:
    """Train, evaluate and save as configured; returns the experiment's folder.

    Raises UserError for wrong input and when a loss is not finite. SIGINT and SIGTERM end the run after the current
    step with a checkpoint and exit status 130 or 143; `resume` goes on from the last one. Of several ranks, rank 0
    alone reads and writes files of the run; the others get their state from it.
    """
    start_logging()
    process = runtime.start(cfg)
    task = TASKS[cfg.task]
    loader = task.make_loader(cfg, process.rank, process.size, 0)
    evaluate = task.make_evaluator(cfg, process) if cfg.run_eval else None
    experiment = open_experiment(cfg, process.is_main)
    logger.info("Creating network...")
    model = build_model(cfg)
    if cfg.sync_batchnorm and process.size > 1:
        count = synchronise_batchnorm(model, process.size)
        logger.info("Batch normalisations over all ranks: %d", count)
    if process.is_main:
        load_start_weights(cfg, model)
    count = sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params())
    logger.info("Number of parameters: %d", count)
    logger.info("Device type: %s", process.device)
    step, rates = make_train_step(cfg, model, loader.steps_per_epoch, process.size)
    run = Run(cfg, task, evaluate, experiment, model, step, rates, loader.steps_per_epoch, process)
    start = process.from_main(run.resume() if cfg.resume and process.is_main else 0)
    if not start and cfg.begin_epoch:
        start = cfg.begin_epoch * loader.steps_per_epoch
        step.start_at(start)
    copy_from_main(process, step.get_parameters())
    if start:
        loader = task.make_loader(cfg, process.rank, process.size, start)
    if cfg.enable_profiling and process.is_main:
        loader = profiled(cfg, loader, experiment.folder / "profile")
    with observing(cfg, experiment) as run.observers:
        run.loop(loader, start)
    return experiment.folder


def copy_from_main(process: Runtime, parameters: Iterable[Parameter]) -> None:
    """Give every rank the values that these parameters have on rank 0."""
    if process.size > 1:
        for parameter in parameters:
            value = process.from_main(parameter.asnumpy() if process.is_main else None)
            parameter.set_data(Tensor(value, parameter.dtype))


def load_start_weights(cfg: Config, model) -> None:
    """Backbone weights, then a whole checkpoint, as far as the configuration names them."""
    if cfg.backbone.pretrained:
        load_backbone_weights(model.backbone, cfg.backbone.pretrained)
        logger.info("Backbone weights from %s", cfg.backbone.pretrained)
    if cfg.pre_trained:
        load_model_weights(model, cfg.pre_trained, finetune=cfg.finetune)
        logger.info("Weights from %s", cfg.pre_trained)


def make_train_step(cfg: Config, model, steps_per_epoch: int, size: int = 1) -> tuple[TrainStep, np.ndarray]:
    """The compiled step and the learning rate of each of its updates (one every `accumulate_step` batches)."""
    updates = math.ceil(cfg.epoch_size * steps_per_epoch / cfg.accumulate_step)
    updates_per_epoch = steps_per_epoch / cfg.accumulate_step
    policy = LrPolicy(
        cfg.lr_type,
        cfg.lr,
        cfg.lr_steps,
        warmup_steps=round(cfg.warmup_epochs * steps_per_epoch / cfg.accumulate_step)
        if cfg.warmup_epochs
        else cfg.warmup_step,
        warmup_ratio=cfg.lr_init / cfg.lr if cfg.lr_init else cfg.warmup_ratio,
        minimum=cfg.min_lr,
        power=cfg.lr_power,
    )
    rates = learning_rates(policy, max(updates, 1), updates_per_epoch)
    if cfg.scale_lr:
        images = cfg.batch_size * size * cfg.accumulate_step
        rates = rates * np.float32(images / cfg.base_batch_size)
        logger.info("Learning rate scaled from %d images an update to %d", cfg.base_batch_size, images)
    optimizer = build_optimizer(
        model,
        rates,
        OptimizerSettings(cfg.opt_type, cfg.momentum, cfg.weight_decay, cfg.norm_bias_decay, cfg.opt_eps),
    )
    settings = StepSettings(cfg.loss_scale, cfg.grad_clip, cfg.accumulate_step, cfg.ema_decay)
    step = TrainStep(model, optimizer, settings, size)
    step.set_train(True)
    return step, rates


class Run:
    """The loop over steps with everything that happens between them."""

    def __init__(
        self,
        cfg: Config,
        task: Task,
        evaluate: Evaluator | None,
        experiment: Experiment,
        model,
        step: TrainStep,
        rates: np.ndarray,
        steps_per_epoch: int,
        process: Runtime = ALONE,
    ):
        self.cfg, self.task, self.evaluate, self.experiment = cfg, task, evaluate, experiment
        self.model, self.step, self.rates = model, step, rates
        self.steps_per_epoch, self.process = steps_per_epoch, process
        self.total = cfg.epoch_size * steps_per_epoch
        ends = (self.total, cfg.max_steps, cfg.end_epoch * steps_per_epoch)
        self.last = min(end for end in ends if end)
        if experiment.is_main:
            self.checkpoints = CheckpointFolder(experiment.folder / "ckpt", cfg.keep_checkpoint_max)
            self.best = BestFolder(experiment.folder / "best_ckpt", cfg.keep_best_checkpoints_max)
        self.unread: list[tuple[int, tuple]] = []  # (global step, losses still on the device)
        self.window: list[float] = []  # total losses since the last log line
        self.epoch_losses: list[float] = []
        self.saved_step = -1
        self.observers: list[Observer] = []

    def resume(self) -> int:
        """Restore the newest whole checkpoint; the global step to go on from."""
        folder = CheckpointFolder(self.experiment.folder / "ckpt", self.cfg.keep_checkpoint_max)
        path = folder.load_newest(self.step, self.model)
        if path is None:
            return 0
        self.step.ask_to_stop(False)
        done = int(self.step.step.asnumpy())
        self.experiment.cut_curves(done)
        epoch, step_of_epoch = self._position(done)
        logger.info("Resumed from %s: epoch %d, step %d", path, epoch, step_of_epoch)
        return done

    def loop(self, loader, start: int) -> None:
        """Steps `start` + 1 to the last one."""
        if start >= self.last:
            logger.info("The run is complete already: %d of %d steps are done", start, self.last)
            return
        done, epoch_started = start, time.perf_counter()
        bar = tqdm(total=self.last, initial=start, disable=not (sys.stderr.isatty() and self.experiment.is_main))
        with StopSignals() as stop, bar:
            for batch in loader:
                if done == start:
                    self._compile_together(batch)
                if stop.received:
                    self.step.ask_to_stop()
                self.unread.append((done + 1, self.step(*batch)))
                stop.listen()
                done += 1
                bar.update()
                stopping = self._is_stopping(stop, done)
                epoch, step_of_epoch = self._position(done)
                ends_epoch = step_of_epoch == self.steps_per_epoch
                finished = done == self.last
                if step_of_epoch % self.cfg.log_every == 0 or ends_epoch or finished or stopping:
                    self._log(epoch, step_of_epoch)
                if step_of_epoch % self.cfg.save_every == 0 or ends_epoch or finished or stopping:
                    self._save(done)
                if stopping and not finished:
                    logger.info("Stopped by signal %d; the same command with --resume 1 goes on", stopping)
                    self.process.barrier()
                    sys.exit(128 + stopping)
                if ends_epoch or finished:
                    seconds = time.perf_counter() - epoch_started
                    self._end_epoch(epoch, step_of_epoch, seconds, finished)
                    epoch_started = time.perf_counter()
                if finished:
                    break

    def _compile_together(self, batch: tuple) -> None:
        """Let all ranks compile before any of them waits for another one inside a step, which it does not do long."""
        if self.process.size > 1 and self.cfg.mode == "graph":
            self.step.compile(*batch)
        self.process.barrier()

    def _is_stopping(self, stop: "StopSignals", done: int) -> int:
        """The signal by which the run ends now, or 0: on every rank after the same step, whichever got the signal."""
        if self.process.size == 1:
            return stop.received
        is_due = self.process.device == "CPU" or done % STOP_CHECK == 0
        return (stop.received or signal.SIGTERM) if is_due and self.step.stop_is_asked() else 0

    def _position(self, done: int) -> tuple[int, int]:
        """(epoch, step within it), both from 1, of the step that made `done` steps complete."""
        epoch, step_of_epoch = divmod(done - 1, self.steps_per_epoch)
        return epoch + 1, step_of_epoch + 1

    def _rate(self, done: int) -> float:
        return float(self.rates[(done - 1) // self.cfg.accumulate_step])

    def _log(self, epoch: int, step_of_epoch: int) -> None:
        """Fetch the losses of all steps since the last time; write them; stop the run if one was not finite."""
        rows = []
        for done, losses in self.unread:
            values = [float(loss.asnumpy()) for loss in losses]
            position = self._position(done)
            row = {"epoch": position[0], "step": position[1], "global_step": done, "lr": self._rate(done)}
            rows.append(row | {"loss": sum(values)} | dict(zip(self.model.loss_names, values)))
        self.unread = []
        self.experiment.write_losses(rows)
        for observer in self.observers:
            observer.on_steps(rows)
        self._stop_if_not_finite()
        self.window += [row["loss"] for row in rows]
        self.epoch_losses += [row["loss"] for row in rows]
        if self.window and (step_of_epoch % self.cfg.log_every == 0 or rows[-1]["global_step"] == self.last):
            mean = sum(self.window) / len(self.window)
            rate = self._rate(rows[-1]["global_step"])
            logger.info("epoch: %d, step: %d, loss: %.6f,  lr: %.6f", epoch, step_of_epoch, mean, rate)
            self.window = []

    def _stop_if_not_finite(self) -> None:
        bad = int(self.step.bad_step.asnumpy())
        if not bad:
            return
        epoch, step_of_epoch = self._position(bad)
        last = self.checkpoints.newest_first()[:1] if self.experiment.is_main else []
        kept = f"the last good checkpoint is {last[0]}" if last else "no checkpoint had been written yet"
        raise UserError(
            f"the loss is not finite at epoch {epoch}, step {step_of_epoch} (global step {bad}): "
            f"training stops; {kept}. A lower lr, a longer warmup_step or grad_clip may help"
        )

    def _save(self, done: int) -> None:
        if self.unread:
            self._log(*self._position(done))  # no state after a bad step is ever written
        if self.experiment.is_main and done != self.saved_step:
            self.checkpoints.save(self.step, self.model, *self._position(done))
            self.saved_step = done
        self.process.barrier()

    def _end_epoch(self, epoch: int, steps: int, seconds: float, finished: bool) -> None:
        self.experiment.plot_losses()
        is_due = epoch % self.cfg.eval_every == 0 or finished
        if self.evaluate and is_due:
            self._evaluate(epoch, steps)
        line = self.task.epoch_line.format(
            epoch=epoch,
            epochs=self.cfg.end_epoch or self.cfg.epoch_size,
            steps=steps,
            milliseconds=1000 * seconds,
            per_step=1000 * seconds / max(steps, 1),
            loss=self._mean_epoch_loss(),
            lr=self._rate((epoch - 1) * self.steps_per_epoch + steps),
        )
        logger.info(line)
        self.epoch_losses = []

    def _evaluate(self, epoch: int, steps: int) -> None:
        started = time.perf_counter()
        self.model.set_train(False)
        path = None
        with self.step.averaged():
            # Each rank has running statistics of its own batches; evaluated and saved are those of rank 0.
            copy_from_main(self.process, [one for one in self.model.get_parameters() if not one.requires_grad])
            metrics = self.evaluate(self.model)
            if self.process.is_main:
                path = self.best.save(self.model, self.task.metric, metrics[self.task.metric], epoch)
        self.model.set_train(True)
        self.process.barrier()
        if not self.process.is_main:
            return
        seconds = time.perf_counter() - started
        logger.info("Eval epoch time: %.3f ms", 1000 * seconds)
        reported = {name: metrics[name] for name in self.task.reported}
        reported["loss"] = self._mean_epoch_loss()
        logger.info("Result metrics for epoch %d: %s", epoch, dict(sorted(reported.items())))
        if path:
            logger.info("Best checkpoint so far: %s", path)
        position = {"epoch": epoch, "global_step": (epoch - 1) * self.steps_per_epoch + steps}
        row = position | {"train_loss": self._mean_epoch_loss()} | metrics
        self.experiment.write_metrics(row, self.task.reported)
        for observer in self.observers:
            observer.on_epoch(row, self.best.top())

    def _mean_epoch_loss(self) -> float:
        return sum(self.epoch_losses) / max(len(self.epoch_losses), 1)
