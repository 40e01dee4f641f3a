"""Training from configuration to best checkpoint: `train(cfg)`, and the loop over steps."""

import logging
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..config import Config, with_typed
from ..models.build_precision import check_precision
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.logs import start_logging
from ..process.runtime import Runtime
from ..tasks import TASKS, Evaluator, Task
from .experiment import AS_STARTED, EVALUATED, Experiment, open_experiment
from .hooks import make_hooks
from .hooks.checkpoints import save_state
from .run import Run
from .setup import go_to_start, make_train_step, prepare_model
from .stop_signals import DATA_WAIT, DATA_WAIT_OF_RANKS, StopSignals, tell_stop

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
    check_precision(cfg)
    task, typed = TASKS[cfg.task], cfg.typed
    words = task.words(cfg)
    words.log("start")
    words.log("data")
    cfg = task.resolved(cfg)
    loader = task.make_loader(cfg, process.rank, process.size, 0)
    words.log("opened", steps=loader.steps_per_epoch)
    evaluate = task.make_evaluator(cfg, process) if cfg.run_eval else None
    experiment = open_experiment(with_typed(cfg, typed), task.run_names(cfg), process.is_main)
    with experiment.in_use():
        own = process.from_main({name: getattr(experiment.cfg, name) for name in AS_STARTED})
        is_evaluated_otherwise = any(getattr(cfg, name) != own[name] for name in EVALUATED)
        cfg = with_typed(replace(cfg, **own, resume=bool(cfg.resume)), typed)
        if evaluate and is_evaluated_otherwise:
            evaluate = task.make_evaluator(cfg, process)
        experiment = replace(experiment, facts=task.facts(cfg, loader))
        run = _prepare(cfg, task, process, experiment, evaluate, loader.steps_per_epoch)
        loop(run, loader.from_step(run.done) if run.done else loader)
    return experiment.folder


def _prepare(
    cfg: Config, task: Task, process: Runtime, experiment: Experiment, evaluate: Evaluator | None, steps_per_epoch: int
) -> Run:
    """The run with its network, where its first step begins."""
    logger.info("Creating network...")
    words = task.words(cfg)
    words.log("weights", path=cfg.pre_trained)
    if cfg.pre_trained:
        words.log("loading")
    model = task.build_model(cfg)
    prepare_model(cfg, model, process, resumes=cfg.resume and bool(experiment.checkpoints.newest_first()))
    step, schedule = make_train_step(cfg, model, steps_per_epoch, process.size)
    compile_once(cfg, process, step, model)
    run = Run(cfg, task, step, schedule, experiment, process, evaluate)
    run.hooks = make_hooks(cfg)
    go_to_start(run)
    if process.is_main and not run.finished:
        experiment.keep_config()
    return run


def loop(run: Run, batches: Iterable) -> None:
    """Steps `run.done` + 1 to `run.last`, and its hooks around them."""
    with run.started_hooks():
        if run.owes_epoch:
            logger.info("Epoch %d was not brought to its end before; that is made up for now", run.epoch)
            run.make_up_epoch()
        if run.finished:
            logger.info("The run is complete already: %d of %d steps are done", run.done, run.last)
            return
        sizes, epoch_started = set(), time.perf_counter()
        data_wait = DATA_WAIT_OF_RANKS if run.process.size > 1 else DATA_WAIT
        with StopSignals(lambda: save_state(run), data_wait) as signals:
            run.pace.asks_for_batch()
            for batch in signals.batches(batches):
                run.pace.has_batch()
                if batch[0].shape not in sizes:
                    sizes.add(batch[0].shape)
                    _compile_together(run, batch)
                if signals.received:
                    run.step.ask_to_stop()
                numbers = run.step(*batch)
                signals.step_is_done()
                run.count(numbers)
                run.stopping = _stop_signal(run, signals)
                run.tell_step(numbers)
                if run.stopping and not run.finished:
                    tell_stop(run.stopping)
                    run.process.barrier()
                    sys.exit(128 + run.stopping)
                if run.ends_epoch:
                    with signals.between_epochs(), run.pace.paused():
                        run.tell_epoch(time.perf_counter() - epoch_started)
                    epoch_started = time.perf_counter()
                if run.finished:
                    break
                run.pace.asks_for_batch()


def _compile_together(run: Run, batch: tuple) -> None:
    """Let all ranks compile before any of them waits for another one inside a step, which it does not do long."""
    if run.process.size > 1 and run.cfg.mode == "graph":
        run.step.compile(*batch)
    run.process.barrier()


def _stop_signal(run: Run, signals: StopSignals) -> int:
    """The signal by which the run ends now, or 0: on every rank after the same step, whichever got the signal."""
    if run.process.size == 1:
        return signals.received
    is_due = run.process.device == "CPU" or run.done % STOP_CHECK == 0
    return (signals.received or signal.SIGTERM) if is_due and run.step.stop_is_asked() else 0
