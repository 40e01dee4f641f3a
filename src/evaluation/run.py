"""What eval.py does: one evaluation of a checkpoint, or of saved predictions, by the configuration's task."""

from pathlib import Path

from src import runtime
from src.config import Config, config_hash
from src.data.coco import CocoDataset
from src.engine.checkpoint import checkpoint_hash, load_model_weights
from src.engine.experiment import start_logging
from src.errors import UserError
from src.evaluation.detection import evaluate_detector


def evaluate(cfg: Config) -> dict[str, float]:
    """Metrics of `cfg.checkpoint_path` on `cfg.val_dataset`; printed as well.

    Where `cfg.prediction_path` exists it is evaluated without running the network. UserError for wrong input.
    """
    start_logging()
    has_predictions = bool(cfg.prediction_path) and Path(cfg.prediction_path).exists()
    if not has_predictions and not cfg.checkpoint_path:
        raise UserError("checkpoint_path is empty: give --checkpoint_path FILE.ckpt, or saved --prediction_path")
    dataset = CocoDataset(cfg.val_dataset, cfg.coco_classes[1:], split_hint="val")
    if has_predictions:
        return evaluate_detector(cfg, None, dataset, prediction_path=cfg.prediction_path)
    runtime.start(cfg)
    model = load_model(cfg, cfg.checkpoint_path)
    protocol = {"config": config_hash(cfg), "checkpoint": checkpoint_hash(cfg.checkpoint_path)}
    return evaluate_detector(cfg, model, dataset, prediction_path=cfg.prediction_path, protocol=protocol)


def load_model(cfg: Config, checkpoint_path: str):
    """The configuration's network in evaluation mode with the weights of `checkpoint_path`, every one of them."""
    from src.models.build import build_model

    model = build_model(cfg)
    load_model_weights(model, checkpoint_path)
    model.set_train(False)
    return model
