"""What eval.py does: one evaluation of a checkpoint, or of saved predictions, by the configuration's task."""

from pathlib import Path

from ..checkpoint import checkpoint_hash, load_model_weights
from ..config import Config, config_hash
from ..data.formats import open_detection
from ..data.formats.image_folder import open_image_folder
from ..data.formats.segmentation_list import open_segmentation
from ..errors import UserError
from ..evaluation.classification_eval import evaluate_classifier
from ..evaluation.detection import evaluate_detector
from ..evaluation.segmentation_eval import evaluate_segmenter
from ..inference.backends import SUFFIXES, open_model, require_fit
from ..models.build import build_model
from ..models.fold import fold_batchnorm
from ..process import runtime
from ..process.logs import start_logging

GIVE_CHECKPOINT = "give --checkpoint_path FILE.ckpt"


def evaluate(cfg: Config) -> dict[str, float]:
    """Metrics of `cfg.checkpoint_path` on `cfg.val_dataset`; printed as well.

    Detection: where `cfg.prediction_path` exists, it is evaluated without the network. Under mpirun or msrun, with
    `run_distribute`, each rank runs the network on its share of the images. UserError for wrong input.
    """
    start_logging()
    if cfg.task == "detection":
        return _evaluate_detector(cfg)
    if cfg.prediction_path:
        raise UserError(f"prediction_path is for detection only; task is {cfg.task}")
    if not cfg.checkpoint_path:
        raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}")
    if cfg.task == "classification":
        dataset, evaluator = open_image_folder(cfg, cfg.val_dataset), evaluate_classifier
    else:
        dataset, evaluator = open_segmentation(cfg, cfg.val_dataset, "val"), evaluate_segmenter
    process = runtime.start(cfg, may_run_alone=True)
    return evaluator(cfg, load_backend(cfg), dataset, process)


def _evaluate_detector(cfg: Config) -> dict[str, float]:
    has_predictions = bool(cfg.prediction_path) and Path(cfg.prediction_path).exists()
    if not has_predictions and not cfg.checkpoint_path:
        raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}, or saved --prediction_path")
    dataset = open_detection(cfg, "val")
    if has_predictions:
        return evaluate_detector(cfg, None, dataset, prediction_path=cfg.prediction_path)
    process = runtime.start(cfg, may_run_alone=True)
    model = load_backend(cfg)
    protocol = {"config": config_hash(cfg), "checkpoint": checkpoint_hash(cfg.checkpoint_path)}
    return evaluate_detector(cfg, model, dataset, cfg.prediction_path, protocol, process)


def load_backend(cfg: Config):
    """What `cfg.backend` runs: the network with the checkpoint's weights, or the exported file in its place.

    Either is called by `run_model`. UserError for a file of another kind, or one that does not fit the configuration.
    """
    if cfg.backend != "mindspore":
        model = open_model(cfg.checkpoint_path, cfg.backend)
        require_fit(model, cfg)
        return model
    for backend, suffix in SUFFIXES.items():
        if cfg.checkpoint_path.lower().endswith(suffix):
            raise UserError(f"{cfg.checkpoint_path} is an exported file: run it with --backend {backend}")
    return load_model(cfg, cfg.checkpoint_path)


def load_model(cfg: Config, checkpoint_path: str):
    """The configuration's network in evaluation mode with the weights of `checkpoint_path`, every one of them."""
    model = build_model(cfg)
    load_model_weights(model, checkpoint_path)
    if cfg.fold_batchnorm:
        fold_batchnorm(model)
    model.set_train(False)
    return model
