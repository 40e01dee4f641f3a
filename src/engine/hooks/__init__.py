"""What happens beside the steps of a training run: a class and a line in `HOOKS` each."""

from collections.abc import Callable

from ...config import Config
from ..loss_scale import has_dynamic_scale
from ..run import Hook
from .checkpoints import Checkpoints
from .curves import EpochLosses, LossCurves, MetricCurves
from .early_stopping import EarlyStopping
from .evaluation import BestWeights, Evaluation
from .log import EpochLog, LossLog, ProgressBar
from .loss_scale import LossScaleLog
from .mlflow import Mlflow
from .original_log import OriginalEpochLog, OriginalLossLog
from .profiling import Profiling
from .sample_pictures import SamplePictures
from .tensorboard import Tensorboard
from .validation_losses import ValidationLosses

__all__ = ["HOOKS", "Hook", "make_hooks"]

# Each makes its hook from the configuration, or returns None where that switches it off. They are told in this order,
# which is that of the log's lines; `evaluation` fills in an epoch's metrics for those behind it. No order lets a state
# be written after a step that was not finite.
HOOKS: dict[str, Callable[[Config], Hook | None]] = {
    "progress": lambda cfg: ProgressBar(),
    "loss_curves": lambda cfg: LossCurves(),
    "loss_scale": lambda cfg: LossScaleLog() if has_dynamic_scale(cfg) else None,
    "loss_log": lambda cfg: (OriginalLossLog if cfg.log_style == "original" else LossLog)(cfg.log_every),
    "checkpoints": lambda cfg: Checkpoints(cfg.save_every, cfg.save_every_epochs),
    "evaluation": lambda cfg: Evaluation(cfg.eval_every, cfg.eval_start) if cfg.run_eval else None,
    "validation_losses": lambda cfg: ValidationLosses() if cfg.run_eval and cfg.val_loss else None,
    "best_weights": lambda cfg: BestWeights() if cfg.run_eval else None,
    "sample_pictures": lambda cfg: SamplePictures(cfg.sample_pictures) if _draws(cfg) else None,
    "tensorboard": lambda cfg: Tensorboard() if cfg.tensorboard else None,
    "metric_curves": lambda cfg: MetricCurves() if cfg.run_eval else None,
    "epoch_losses": lambda cfg: None if _evaluates_each_epoch(cfg) else EpochLosses(),
    "epoch_log": lambda cfg: (OriginalEpochLog if cfg.log_style == "original" else EpochLog)(
        cfg.end_epoch or cfg.epoch_size
    ),
    "early_stopping": lambda cfg: EarlyStopping(cfg.patience) if cfg.patience and cfg.run_eval else None,
    "mlflow": lambda cfg: Mlflow() if cfg.mlflow else None,
    "profiling": lambda cfg: Profiling(cfg.device_target) if cfg.enable_profiling else None,
}


def _evaluates_each_epoch(cfg: Config) -> bool:
    return cfg.run_eval and cfg.eval_every == 1 and cfg.eval_start <= 1


def _draws(cfg: Config) -> bool:
    return cfg.run_eval and cfg.sample_pictures > 0


def make_hooks(cfg: Config) -> dict[str, Hook]:
    """The hooks that the configuration switches on."""
    made = {name: make(cfg) for name, make in HOOKS.items()}
    return {name: hook for name, hook in made.items() if hook is not None}
