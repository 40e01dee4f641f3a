"""A detector's predictions of a data set: shared among ranks, kept as they come, in the data set's order."""

import time
from contextlib import AbstractContextManager
from pathlib import Path

from ..config import Config
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..data.network_input import ImageSettings
from ..data.pipeline import group_size
from ..inference.output import weights_and_keys
from ..inference.predictors import make_predictor
from ..inference.results import to_coco_results
from ..inference.unfinished import Unfinished, describe_files, unfinished
from ..process.log_words import Words
from ..process.runtime import SINGLE, Runtime
from .progress import Progress

TODAY = Words("mask_rcnn", "default")


def predict_dataset(
    cfg: Config,
    model,
    dataset: DetectionIndex,
    process: Runtime = SINGLE,
    part: Unfinished | None = None,
    words: Words = TODAY,
) -> tuple[list[dict], list[Id]]:
    """COCO results of `model` on every image of `dataset`, and the images that are unreadable; prints progress, the
    time and how many these are.

    Rank 0 has the results of all ranks' images, in the data set's order; the other ranks have none. part: where this
    rank's results are kept as they come; those that are there are taken. words: what it prints.
    """
    share = process.share(len(dataset.image_ids))
    before = [] if part is None else list(part.entries())
    total, left = len(share), share[len(before) :]
    here = f", {total} of them here" * (process.size > 1)
    words.say("images", images=len(dataset.image_ids), here=here, batches=-(-total // cfg.test_batch_size))
    predictor = make_predictor(model, cfg)
    results = [result for _, found in before if found is not None for result in found]
    unreadable = [image_id for image_id, found in before if found is None]
    started = time.perf_counter()
    progress = Progress(words, total, len(before), cfg.test_batch_size)
    for image_id, prediction in progress.over(predictor.predict_dataset(dataset, left)):
        found = None if prediction is None else to_coco_results(prediction, image_id, dataset.category_ids)
        if part is not None:
            part.append(image_id, found)
        if found is None:
            unreadable.append(image_id)
        else:
            results += found
    seconds = time.perf_counter() - started - predictor.first_run_seconds
    missing = [image_id for part in process.gather(unreadable) for image_id in part]
    each = seconds / max(len(left), 1)
    words.say("each", each=each, first=predictor.first_run_seconds, unreadable=len(missing))
    return [result for part in process.gather(results) for result in part], missing


def unfinished_predictions(
    cfg: Config, dataset: DetectionIndex, process: Runtime
) -> AbstractContextManager[Unfinished]:
    """Where this rank keeps the results of its images until all are in `cfg.prediction_path`."""
    output = Path(cfg.prediction_path)
    if process.size > 1:
        output = output.with_name(f"{output.name}.rank{process.rank}of{process.size}")
    records = (dataset.record(index) for index in range(len(dataset)))
    images = describe_files((one.image_id, one.path, one.height, one.width) for one in records)
    labels = describe_files([dataset.label_files])
    data = {"images": f"{len(dataset)}, {images}", "labels": labels, "category_ids": dataset.category_ids}
    share = process.share(len(dataset.image_ids))
    return unfinished(output, weights_and_keys(cfg) | data, len(share), together(cfg))


def view_facts(cfg: Config) -> dict[str, str]:
    """In which views images are seen, as the protocol names it."""
    flip, scales = "on" if cfg.eval_flip else "off", ", ".join(f"{scale:g}" for scale in cfg.eval_scales)
    return {"flip": flip} if list(cfg.eval_scales) == [1] else {"flip": flip, "scales": scales}


def together(cfg: Config) -> int:
    """How many images, one after the other, share batches: a run goes on behind a whole number of such groups."""
    return 1 if cfg.tile else group_size(cfg.test_batch_size, ImageSettings.from_config(cfg).turns)
