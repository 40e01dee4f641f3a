"""What eval.py does: one evaluation of a checkpoint, or of saved predictions."""

from ..config import Config
from ..process.logs import start_logging
from ..tasks import evaluating
from .places import check_evaluation


def evaluate(cfg: Config) -> dict[str, float]:
    """Metrics of `cfg.checkpoint_path` on `cfg.val_dataset`; printed as well.

    Detection: where `cfg.prediction_path` exists, it is evaluated without the network. Under mpirun or msrun, with
    `run_distribute`, each rank runs the network on its share of the images. Predictions that are to be saved are kept
    in `NAME.part` as they come, from which the same command goes on. UserError for wrong input.
    """
    start_logging()
    check_evaluation(cfg)
    return evaluating(cfg).evaluate(cfg)
