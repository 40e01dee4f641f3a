"""Evaluation of a detector: network over the data set, predictions saved, metrics and the time it took."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from ..config import Config
from ..data.formats.index import DetectionIndex
from ..data.pipeline import build_eval_loader
from ..inference.predictor import Predictor
from ..inference.results import to_coco_results
from ..process.runtime import ALONE, Runtime
from .coco_eval import evaluate_predictions
from .detection_analysis import analyse_detections, format_analysis
from .prediction_file import load_predictions, load_protocol, save_predictions


def evaluate_detector(
    cfg: Config,
    model,
    dataset: DetectionIndex,
    prediction_path: str = "",
    protocol: dict | None = None,
    process: Runtime = ALONE,
) -> dict[str, float]:
    """Box and mask metrics of `model` on every image of `dataset`, printed with their protocol.

    Where `prediction_path` exists, it is evaluated instead and `model` may be None; otherwise predictions are saved
    there if it is given. protocol: what the caller knows about the run, such as hashes of configuration and checkpoint.
    process: where there are several ranks, each runs the network on its share of the images; rank 0 has the metrics,
    the others get an empty dictionary.
    """
    if prediction_path and Path(prediction_path).exists():
        print(f"Evaluating the predictions in {prediction_path}; the network is not run.")
        results = load_predictions(prediction_path, dataset)
        protocol = load_protocol(prediction_path)
    else:
        protocol = {"size": f"{cfg.img_width}x{cfg.img_height}", "flip": "off"} | (protocol or {})
        results = predict_dataset(cfg, model, dataset, process)
        if not process.is_main:
            return {}
        if prediction_path:
            save_predictions(prediction_path, results, protocol)
            print(f"Predictions written to {prediction_path}")
    metrics = evaluate_predictions(dataset, results, protocol)
    if cfg.analysis:
        print(format_analysis(analyse_detections(dataset, results)), flush=True)
    return metrics


def predict_dataset(cfg: Config, model, dataset: DetectionIndex, process: Runtime = ALONE) -> list[dict]:
    """COCO results of `model` on every image of `dataset`; prints progress, the time and how many were unreadable.

    Rank 0 has the results of all ranks' images, in the data set's order; the other ranks have none.
    """
    loader = build_eval_loader(cfg, dataset, indices=process.share(len(dataset.image_ids)))
    total = len(loader)
    print(f"total images num: {len(dataset.image_ids)}" + (f", {total} of them here" * (process.size > 1)), flush=True)
    predictor = Predictor(model, cfg)
    results: list[dict] = []
    unreadable = 0
    started = time.perf_counter()
    for image_id, prediction in _with_progress(predictor.predict_stream(loader), total):
        if prediction is None:
            unreadable += 1
        else:
            results += to_coco_results(prediction, image_id, dataset.category_ids)
    seconds = time.perf_counter() - started - predictor.first_run_seconds
    print(
        f"{seconds / max(total, 1):.3f} s per image (and {predictor.first_run_seconds:.1f} s for the first batch with "
        f"its compilation); unreadable images: {sum(process.gather(unreadable))}",
        flush=True,
    )
    return [result for part in process.gather(results) for result in part]


def _with_progress(predictions: Iterable, total: int) -> Iterator:
    """The predictions, with a bar on a terminal and a line every tenth of the way elsewhere."""
    on_terminal = sys.stderr.isatty()
    with tqdm(total=total, disable=not on_terminal, unit="img") as bar:
        for done, item in enumerate(predictions, start=1):
            yield item
            bar.update()
            if not on_terminal and done * 10 // total > (done - 1) * 10 // total:
                print(f"{done}/{total} images", flush=True)
