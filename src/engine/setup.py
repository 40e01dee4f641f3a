"""What a run needs before its first step: start weights, the step and its schedule, the state it goes on from."""

import logging
import math
from pathlib import Path

import numpy as np
from mindspore import nn

from ..checkpoint import holds_backbone_alone, load_backbone_weights, load_model_weights
from ..config import Config
from ..config.local_words import START_WEIGHTS
from ..errors import UserError, short
from ..models.build_precision import set_precision
from ..models.freeze import freeze_parts
from ..models.fused import fuse_for_training
from ..models.sync_norm import synchronise_batchnorm
from ..ops.conv_gradient import use_fast_gradients, why_not_fast
from ..process.runtime import Runtime
from ..tasks import TASKS
from .checkpoint_folders import CheckpointFolder
from .loss_scale import configured_scale
from .lr_schedule import LrPolicy, Schedule, learning_rates
from .optimizer import OptimizerSettings, build_optimizer
from .parameter_groups import rate_factors
from .run import Run
from .run_folder import RECORDS, set_aside
from .train_step import StepSettings, TrainStep

logger = logging.getLogger(__name__)

MOST_UPDATES = 50_000_000
ENDS = {"end_epoch", "max_steps", "patience"}  # keys of when a run ends, whatever its schedule


def prepare_model(cfg: Config, model: nn.Cell, process: Runtime, resumes: bool = False) -> None:
    """What of a fresh network does not learn, what the ranks share of it, and its start weights (on rank 0).

    resumes: there are checkpoints to go on from, so that the start weights need not be there any more.
    """
    freeze_parts(model, cfg.frozen_parts)
    if cfg.sync_batchnorm and process.size > 1:
        count = synchronise_batchnorm(model, process.size)
        logger.info("Batch normalisations over all ranks: %d", count)
    if process.is_main and not resumes:
        load_start_weights(cfg, model)
    count = sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params())
    logger.info("Number of parameters: %d", count)
    logger.info("Device type: %s", process.device)


def load_start_weights(cfg: Config, model: nn.Cell) -> None:
    """Backbone weights, then a whole checkpoint, as far as the configuration names them.

    What the originals' words name may be a backbone alone: they load what fits.
    """
    is_trunk = START_WEIGHTS & cfg.typed and cfg.pre_trained and holds_backbone_alone(model, cfg.pre_trained)
    for path in filter(None, (cfg.backbone.pretrained, cfg.pre_trained if is_trunk else "")):
        load_backbone_weights(model.backbone, path)
        TASKS[cfg.task].tell_definition(cfg, path, is_whole=False)
        logger.info("Backbone weights from %s", path)
    if cfg.pre_trained and not is_trunk:
        load_model_weights(model, cfg.pre_trained, finetune=cfg.finetune)
        TASKS[cfg.task].tell_definition(cfg, cfg.pre_trained)
        logger.info("Weights from %s", cfg.pre_trained)


def make_train_step(cfg: Config, model: nn.Cell, steps_per_epoch: int, size: int = 1) -> tuple[TrainStep, Schedule]:
    """The step that gets compiled, and the schedule of its updates (one every `accumulate_step` batches).

    From here on `model` has the gradients that `gradient_line` names, with oneDNN's the fused operators, and the
    precision of `amp_level`.
    """
    if not why_own_gradients(cfg):
        use_fast_gradients(model)
        fuse_for_training(model)
    logger.info(gradient_line(cfg))
    set_precision(cfg, model)
    updates = math.ceil(cfg.epoch_size * steps_per_epoch / cfg.accumulate_step)
    if updates > MOST_UPDATES:
        raise UserError(
            f"epoch_size {cfg.epoch_size} makes {updates:,} updates of {steps_per_epoch:,} steps an epoch; at most "
            f"{MOST_UPDATES:,} have room for their learning rates"
        )
    policy = _lr_policy(cfg, steps_per_epoch, size)
    rates = learning_rates(policy, max(updates, 1), steps_per_epoch / cfg.accumulate_step)
    if cfg.scale_lr:
        images = cfg.batch_size * size * cfg.accumulate_step
        rates = rates * np.float32(images / cfg.base_batch_size)
        logger.info("Learning rate scaled from %d images an update to %d", cfg.base_batch_size, images)
    settings = OptimizerSettings(
        cfg.opt_type,
        cfg.momentum,
        cfg.weight_decay,
        cfg.norm_bias_decay,
        cfg.opt_eps,
        cfg.nesterov,
        cfg.beta1,
        cfg.beta2,
    )
    optimizer = build_optimizer(model, rates, settings, rate_factors(model, cfg.lr_factors, cfg.layer_decay))
    last_step = cfg.epoch_size * steps_per_epoch
    loss_scale, dynamic = configured_scale(cfg)
    step_settings = StepSettings(
        loss_scale,
        cfg.grad_clip,
        cfg.accumulate_step,
        cfg.ema_decay,
        last_step,
        cfg.portable,
        clip_each=cfg.grad_clip_by == "tensor",
        norms=cfg.log_norms,
        dynamic=dynamic,
    )
    step = TrainStep(model, optimizer, step_settings, size)
    step.set_train(True)
    return step, Schedule(steps_per_epoch, rates, cfg.accumulate_step)


def why_own_gradients(cfg: Config) -> str:
    """Why convolutions keep the framework's own gradient; empty where they take oneDNN's."""
    if not cfg.fast_gradients or cfg.portable:
        return "portable is 1" if cfg.fast_gradients else "fast_gradients is 0"
    return why_not_fast()


def gradient_line(cfg: Config) -> str:
    """Whose gradient the convolutions have, and why."""
    reason = why_own_gradients(cfg)
    return f"Gradients of convolutions by {f'the framework ({reason})' if reason else 'oneDNN'}"


def go_to_start(run: Run) -> None:
    """Put the run where its first step begins: at the newest checkpoint where it is resumed, else at `begin_epoch`.

    Every rank gets the state of rank 0, which alone reads files.
    """
    if run.cfg.resume and run.process.is_main:
        _load_newest(run)
    run.done, run.states, run.owes_epoch = run.process.from_main((run.done, run.states, run.owes_epoch))
    if not run.done and run.cfg.begin_epoch:
        run.done = run.cfg.begin_epoch * run.schedule.steps_per_epoch
        run.step.start_at(run.done)
    run.copy_from_main(run.step.get_parameters())
    run.resume_losses()
    if "early_stopping" in run.hooks:
        run.hooks["early_stopping"].resume(run, run.state_of("early_stopping"))


def _load_newest(run: Run) -> None:
    checkpoints, start = run.experiment.checkpoints, run.experiment.start
    if start:
        loaded = start, checkpoints.load(start, run.step, run.model)
    else:
        loaded = checkpoints.load_newest(run.step, run.model)
    if loaded is None:
        if checkpoints.damaged():  # `prepare_model` had counted on them
            _begin_again(run)
        else:
            logger.info("%s holds no state yet: the run begins with its first step", checkpoints.folder)
        return
    path, states = loaded
    own = run.take_states(states)
    run.step.ask_to_stop(False)
    run.done = int(run.step.step.asnumpy())
    _check_epochs(run, path, own.get("steps_per_epoch"))
    run.step.go_on_from(run.done)
    run.resume_told(own.get("told"))
    logger.info("Resumed from %s: epoch %d, step %d", path, *run.schedule.position(run.done))
    _tell_changes(run)
    if start:
        _set_later_aside(run, start, own.get("told"))


def _set_later_aside(run: Run, start: Path, told: int | None) -> None:
    """What the run has written after the state that it goes on from: its states and best weights move into a folder of
    their own, its records are copied there before their later rows are cut off.

    told: as of `Run.resume_told`; the weights of that evaluation belong to what goes on.
    """
    experiment = run.experiment
    position = CheckpointFolder.position
    later = [path for path in experiment.checkpoints.newest_first() if position(path) > position(start)]
    if not later:
        return
    best = experiment.best.after(run.epoch if run.ends_epoch or told == run.done else run.epoch - 1)
    records = [*(experiment.folder / name for name in RECORDS), *experiment.folder.glob("loss_*.log")]
    place = set_aside(experiment.folder, [*later, *best], copied=records)
    logger.warning(
        "the run had gone on after %s: its %d later states, %d later best weights and its records as they were are "
        "in %s",
        start.name, len(later), len(best), place,
    )  # fmt: skip


def _begin_again(run: Run) -> None:
    """Start afresh where no checkpoint can be read; what the folder holds of the run before is kept beside."""
    folder, checkpoints = run.experiment.folder, run.experiment.checkpoints
    place = set_aside(folder, [*checkpoints.damaged(), *(folder / name for name in RECORDS)])
    best = run.experiment.best.top()
    logger.warning(
        "none of the checkpoints in %s can be read: the run begins again with its first step; its records of before "
        "and the damaged files are in %s%s",
        checkpoints.folder,
        place,
        f" (--pre_trained {best} with another --brief begins with its best weights)" if best else "",
    )
    load_start_weights(run.cfg, run.model)
    run.step.start_average()


def _check_epochs(run: Run, path: Path, steps_then: int | None) -> None:
    """UserError if an epoch has another number of steps than when the checkpoint was written: it has other images."""
    epoch, step_of_epoch = CheckpointFolder.position(path)
    if steps_then is None and epoch > 1:
        steps_then = (run.done - step_of_epoch) // (epoch - 1)
    steps = run.schedule.steps_per_epoch
    if steps_then is None and step_of_epoch > steps:
        steps_then = step_of_epoch
    if steps_then not in (None, steps):
        raise UserError(
            f"{path} is of a run with {steps_then} steps an epoch, the training set now gives {steps}: a run is "
            f"resumed on the images that it was started with. To train on with others, start a new run: "
            f"--pre_trained {path} and another --brief (--begin_epoch N takes its place in the schedule)"
        )


def _tell_changes(run: Run) -> None:
    """One line on what of a resumed run goes on and what does not, where keys of its training are other ones now."""
    changes = run.experiment.changes
    if changes:
        rates = ""
        if {one.name for one in changes} - ENDS:
            rate = "" if run.finished else f", {run.schedule.rate(run.done + 1):.6g} at the next one"
            rates = f"; the learning rates start anew, as the keys of now have them{rate}"
        logger.info(
            "The run has other keys than before: %s. Weights, the optimizer's state and the count of steps (%d of %d) "
            "continue%s",
            ", ".join(f"{one.name} {short(one.then)} -> {short(one.now)}" for one in changes),
            run.done,
            run.last,
            rates,
        )


def _lr_policy(cfg: Config, steps_per_epoch: int, size: int = 1) -> LrPolicy:
    warmup = cfg.warmup_step
    if cfg.warmup_epochs:
        warmup = round(cfg.warmup_epochs * steps_per_epoch / cfg.accumulate_step)
    return LrPolicy(
        cfg.lr_type,
        cfg.lr,
        cfg.lr_steps,
        warmup,
        warmup_ratio=cfg.lr_init / cfg.lr if cfg.lr_init else cfg.warmup_ratio,
        minimum=cfg.min_lr,
        power=cfg.lr_power,
        first_step=cfg.warmup_first_step,
        curve_steps=_curve_steps(cfg, steps_per_epoch, size),
    )


def _curve_steps(cfg: Config, steps_per_epoch: int, size: int) -> int:
    """Updates over which the rate falls where keys say so; 0 for those of the run."""
    if not (cfg.lr_epochs or cfg.lr_base_step):
        return 0
    if cfg.lr_base_step:
        steps_per_epoch = cfg.lr_base_step // size + size
    return max(math.ceil(int(steps_per_epoch * (cfg.lr_epochs or cfg.epoch_size)) / cfg.accumulate_step), 1)
